// UD part-of-speech tags. One small tagger of all languages, by the posteriors of the teachers.
//
//   allennlp train training_configs/ud/posterior_kd.jsonnet -s out/ud/posterior_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_kd(tasks.ud)
