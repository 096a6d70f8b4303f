// UD part-of-speech tags of eight languages, zero-shot on three more.
//
//   allennlp distillation-suite training_configs/suites/ud.jsonnet -s out/suites/ud --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks.ud {
  description: 'Universal Dependencies, UPOS. The student learns from a quarter of the sentences of each language (by a hash of their words), the teachers from the other three quarters. Every second development sentence is used to choose the epoch.',
  languages: ['de', 'en', 'es', 'fr', 'it', 'nl', 'pt', 'sv'],
  student: suites.small,
  train: 'data/ud/{language}/train.conllu#fold=1of4',
  dev: 'data/ud/{language}/dev.conllu#fold=1of2',
  epochs: 20,
  teacher_epochs: 12,
};

suites.suite(
  task,
  title='Universal Dependencies part-of-speech tags',
  test='data/ud/{language}/test.conllu',
  teacher_train='data/ud/{language}/train.conllu#not-fold=1of4',
  zero_shot={ [l]: 'data/ud/zero_shot/%s/test.conllu' % l for l in ['gl', 'nn', 'hr'] },
)
