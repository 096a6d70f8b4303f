// UD part-of-speech tags. One small tagger of all languages, distilled from the teachers of ud_teacher.jsonnet.
//
//   allennlp train training_configs/ud_posterior_kd.jsonnet -s out/ud/posterior_kd --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.posterior_kd(tasks.ud)
