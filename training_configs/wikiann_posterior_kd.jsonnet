// WikiAnn named entities. One small tagger of all languages, distilled from the teachers of wikiann_teacher.jsonnet.
//
//   allennlp train training_configs/wikiann_posterior_kd.jsonnet -s out/wikiann/posterior_kd --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.posterior_kd(tasks.wikiann)
