// What makes the student better than labels alone: 15,000 more sentences of each language, which its teachers tag,
// beside the labelled ones, by the exact cross-entropy of whole tag sequences. Tokens are separated by spaces.
//
// The second command is for one teacher of all languages: see teacher.jsonnet.
//
//   allennlp train training_configs/wikiann/unlabelled.jsonnet -s out/wikiann/unlabelled
//   allennlp train training_configs/wikiann/unlabelled.jsonnet -s out/wikiann/unlabelled_of_all --overrides '{"model.teachers": "out/wikiann/teachers/all/model.tar.gz"}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.with_text(tasks.wikiann), { type: 'structural' }) + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/unlabelled/wikiann/{language}.txt' }],
}
