// WikiAnn named entities of four languages, zero-shot on Portuguese.
//
//   allennlp distillation-suite training_configs/suites/wikiann.jsonnet -s out/suites/wikiann --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

suites.suite(tasks.wikiann {
  title: 'WikiAnn named entities',
  description: 'All 20,000 labelled sentences for everybody, and 15,000 sentences of raw text of the same kind in each language for students with text. Every second development sentence is used to choose the epoch.',
  languages: ['de', 'en', 'fr', 'nl'],
  student: suites.small,
  dev: 'data/wikiann/{language}/dev#fold=1of2',
  test: 'data/wikiann/{language}/test',
  zero_shot: { pt: 'data/wikiann/zero_shot/pt/test' },
  teacher_epochs: 8,
  raw: 'data/unlabelled/wikiann/{language}.txt',
  text: 15000,
  text_languages: ['pt'],
  members: 2,
})
