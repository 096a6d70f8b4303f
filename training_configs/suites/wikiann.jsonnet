// WikiAnn named entities of four languages, zero-shot on Portuguese.
//
//   allennlp distillation-suite training_configs/suites/wikiann.jsonnet -s out/suites/wikiann --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks.wikiann {
  description: 'WikiAnn. The student learns from a quarter of the sentences of each language (by a hash of their words), the teachers from the other three quarters. Every second development sentence is used to choose the epoch.',
  languages: ['de', 'en', 'fr', 'nl'],
  student: suites.small,
  train: 'data/wikiann/{language}/train#fold=1of4',
  dev: 'data/wikiann/{language}/dev#fold=1of2',
  epochs: 20,
  teacher_epochs: 15,
};

suites.suite(
  task,
  title='WikiAnn named entities',
  test='data/wikiann/{language}/test',
  teacher_train='data/wikiann/{language}/train#not-fold=1of4',
  zero_shot={ pt: 'data/wikiann/zero_shot/pt/test' },
)
