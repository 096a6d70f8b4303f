// WikiAnn named entities. One small tagger of all languages, by the posteriors of the teachers.
//
//   allennlp train training_configs/wikiann/posterior_kd.jsonnet -s out/wikiann/posterior_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_kd(tasks.wikiann)
