// UD part-of-speech tags. posterior_kd.jsonnet with unlabelled text added, on which only the distillation loss counts.
//
//   allennlp train training_configs/ud/unlabelled.jsonnet -s out/ud/unlabelled --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.unlabelled(tasks.ud)
