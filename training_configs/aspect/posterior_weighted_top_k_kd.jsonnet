// SemEval-2016 aspect terms. The student, by posteriors and weighted 10 best sequences.
//
//   allennlp train training_configs/aspect/posterior_weighted_top_k_kd.jsonnet -s out/aspect/posterior_weighted_top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_weighted_top_k_kd(tasks.aspect)
