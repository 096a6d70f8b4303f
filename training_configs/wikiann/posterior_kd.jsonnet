// One small named-entity tagger of German, English and Dutch, by the posteriors of three teachers, and how
// it does on Portuguese, of which it has seen nothing.
//
//   allennlp train training_configs/wikiann/posterior_kd.jsonnet -s out/wikiann/posterior_kd
//   allennlp evaluate out/wikiann/posterior_kd/model.tar.gz data/wikiann/zero_shot/pt/test

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.wikiann, { type: 'posterior' })
