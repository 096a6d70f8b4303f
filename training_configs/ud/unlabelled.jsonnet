// posterior_kd.jsonnet with text that nobody has tagged, on which only the distillation loss counts: the
// rest of the English treebank, and parts of other French and Italian text, chosen by a hash of the
// words. Tokens are separated by spaces. Swedish has next to no text beyond its treebank.
//
//   allennlp train training_configs/ud/unlabelled.jsonnet -s out/ud/unlabelled

(import 'posterior_kd.jsonnet') + {
  train_data_path: [super.train_data_path, { unlabelled: {
      en: 'data/unlabelled/ud/en.txt',
      fr: 'data/text/fr.txt#fold=1of4',
      it: 'data/text/it.txt#fold=1of2',
    } }],
}
