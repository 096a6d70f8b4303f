// What makes the student better than labels alone: text that its teachers tag, beside the labelled sentences, by
// the exact cross-entropy of whole tag sequences. It is the rest of the English treebank, and parts of other
// French and Italian text, chosen by a hash of the words. Tokens are separated by spaces. Swedish has next to no
// text beyond its treebank.
//
// The second command is for one teacher of all languages: see teacher.jsonnet.
//
//   allennlp train training_configs/ud/unlabelled.jsonnet -s out/ud/unlabelled
//   allennlp train training_configs/ud/unlabelled.jsonnet -s out/ud/unlabelled_of_all --overrides '{"model.teachers": "out/ud/teachers/all/model.tar.gz"}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.with_text(tasks.ud), { type: 'structural' }) + {
  train_data_path: [super.train_data_path, { unlabelled: {
      en: 'data/unlabelled/ud/en.txt',
      fr: 'data/text/fr.txt#fold=1of4',
      it: 'data/text/it.txt#fold=1of2',
    } }],
}
