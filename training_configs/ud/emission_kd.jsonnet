// UD part-of-speech tags. The student, by the emission scores of the teachers.
//
//   allennlp train training_configs/ud/emission_kd.jsonnet -s out/ud/emission_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.emission_kd(tasks.ud)
