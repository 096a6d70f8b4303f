// SemEval-2016 aspect terms. The student, by the teachers' 10 best sequences, weighted.
//
//   allennlp train training_configs/aspect/weighted_top_k_kd.jsonnet -s out/aspect/weighted_top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.weighted_top_k_kd(tasks.aspect)
