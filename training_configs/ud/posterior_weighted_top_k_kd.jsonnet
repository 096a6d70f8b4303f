// UD part-of-speech tags. The student, by posteriors and weighted 10 best sequences.
//
//   allennlp train training_configs/ud/posterior_weighted_top_k_kd.jsonnet -s out/ud/posterior_weighted_top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_weighted_top_k_kd(tasks.ud)
