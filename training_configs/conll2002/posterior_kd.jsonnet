// CoNLL-2002 named entities. One small tagger of all languages, by the posteriors of the teachers.
//
//   allennlp train training_configs/conll2002/posterior_kd.jsonnet -s out/conll2002/posterior_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_kd(tasks.conll2002)
