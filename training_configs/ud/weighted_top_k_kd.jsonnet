// UD part-of-speech tags. The student, by the teachers' 10 best sequences, weighted.
//
//   allennlp train training_configs/ud/weighted_top_k_kd.jsonnet -s out/ud/weighted_top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.weighted_top_k_kd(tasks.ud)
