// UD part-of-speech tags. The student, by the exact cross-entropy of the teachers' distributions.
//
//   allennlp train training_configs/ud/structural_kd.jsonnet -s out/ud/structural_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.structural_kd(tasks.ud)
