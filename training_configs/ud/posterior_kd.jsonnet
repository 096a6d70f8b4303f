// One small part-of-speech tagger of English, French, Italian and Swedish, by the posteriors of four
// teachers. Further treebanks join by an override, once they have a teacher.
//
//   allennlp train training_configs/ud/posterior_kd.jsonnet -s out/ud/posterior_kd
//   allennlp train training_configs/ud/posterior_kd.jsonnet -s out/ud/six --overrides '{"dataset_reader.languages": ["de", "en", "fr", "it", "nl", "sv"]}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.ud, { type: 'posterior' })
