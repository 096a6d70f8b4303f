// What makes the student better than labels alone: the rest of the newspapers' sentences, which its teachers tag,
// beside the labelled ones, by the exact cross-entropy of whole tag sequences. Tokens are separated by spaces.
//
// The second command is for one teacher of all languages: see teacher.jsonnet.
//
//   allennlp train training_configs/conll2002/unlabelled.jsonnet -s out/conll2002/unlabelled
//   allennlp train training_configs/conll2002/unlabelled.jsonnet -s out/conll2002/unlabelled_of_all --overrides '{"model.teachers": "out/conll2002/teachers/all/model.tar.gz"}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.with_text(tasks.conll2002), { type: 'structural' }) + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/unlabelled/conll2002/{language}.txt' }],
}
