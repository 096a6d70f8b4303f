// posterior_kd.jsonnet with the rest of the newspapers' sentences, without their tags, on which only the
// distillation loss counts. Tokens are separated by spaces. suites/conll2002.jsonnet measures what it
// brings where labels are few.
//
//   allennlp train training_configs/conll2002/unlabelled.jsonnet -s out/conll2002/unlabelled

(import 'posterior_kd.jsonnet') + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/unlabelled/conll2002/{language}.txt' }],
}
