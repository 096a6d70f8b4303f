// The labelled sentences, and an eighth of general text, about as many sentences, which the teachers tag, by the
// exact cross-entropy of whole tag sequences. No reviews of restaurants are among it: yours would be worth more.
// Tokens are separated by spaces.
//
// The second command is for one teacher of all languages: see teacher.jsonnet.
//
//   allennlp train training_configs/aspect/unlabelled.jsonnet -s out/aspect/unlabelled
//   allennlp train training_configs/aspect/unlabelled.jsonnet -s out/aspect/unlabelled_of_all --overrides '{"model.teachers": "out/aspect/teachers/all/model.tar.gz"}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.with_text(tasks.aspect), { type: 'structural' }) + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/text/{language}.txt#fold=1of8' }],
}
