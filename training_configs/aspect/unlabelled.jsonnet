// posterior_kd.jsonnet with text that nobody has tagged, on which only the distillation loss counts: an
// eighth of general text, about as many sentences as are labelled. No reviews of restaurants are among
// it. Tokens are separated by spaces.
//
//   allennlp train training_configs/aspect/unlabelled.jsonnet -s out/aspect/unlabelled

(import 'posterior_kd.jsonnet') + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/text/{language}.txt#fold=1of8' }],
}
