// posterior_kd.jsonnet with 15,000 more sentences of each language, without their tags, on which only the
// distillation loss counts. Tokens are separated by spaces.
//
//   allennlp train training_configs/wikiann/unlabelled.jsonnet -s out/wikiann/unlabelled

(import 'posterior_kd.jsonnet') + {
  train_data_path: [super.train_data_path, { unlabelled: 'data/unlabelled/wikiann/{language}.txt' }],
}
