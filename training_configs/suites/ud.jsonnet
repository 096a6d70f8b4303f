// Universal Dependencies part-of-speech tags of eight languages, zero-shot on three more.
//
//   allennlp distillation-suite training_configs/suites/ud.jsonnet -s out/suites/ud --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

suites.suite(tasks.ud {
  title: 'Universal Dependencies part-of-speech tags',
  description: 'All labelled sentences for everybody, and 5,000 sentences of raw text in each language, 3,165 in Swedish, for students with text. Every second development sentence is used to choose the epoch.',
  languages: ['de', 'en', 'es', 'fr', 'it', 'nl', 'pt', 'sv'],
  student: suites.small,
  dev: 'data/ud/{language}/dev.conllu#fold=1of2',
  test: 'data/ud/{language}/test.conllu',
  zero_shot: { [l]: 'data/ud/zero_shot/%s/test.conllu' % l for l in ['gl', 'nn', 'hr'] },
  teacher_epochs: 8,
  raw: 'data/text/{language}.txt',
  text: 5000,
  text_languages: ['gl', 'nn', 'hr'],
  members: 2,
})
