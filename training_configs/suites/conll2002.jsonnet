// CoNLL-2002 named entities of Dutch and Spanish.
//
//   allennlp distillation-suite training_configs/suites/conll2002.jsonnet -s out/suites/conll2002 --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

suites.suite(tasks.conll2002 {
  title: 'CoNLL-2002 named entities',
  description: 'All labelled sentences for everybody, and 2,323 Spanish and 9,806 Dutch sentences of raw text of the same kind for students with text. Every second development sentence is used to choose the epoch.',
  student: suites.small,
  dev: 'data/conll2002/{language}/testa#fold=1of2',
  test: 'data/conll2002/{language}/testb',
  zero_shot: {},
  teacher_epochs: 8,
  raw: 'data/unlabelled/conll2002/{language}.txt',
  encoder_raw: ['data/text/{language}.txt'],
  text: 10000,
  text_languages: [],
  members: 2,
})
