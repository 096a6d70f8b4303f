// SemEval-2016 opinion targets of restaurant reviews in five languages.
//
//   allennlp distillation-suite training_configs/suites/aspect.jsonnet -s out/suites/aspect --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

suites.suite(tasks.aspect {
  title: 'SemEval-2016 opinion targets',
  description: 'All labelled sentences for everybody, but for a tenth, by which the epoch is chosen, and 4,000 sentences of raw text in each language, which is not about restaurants, for students with text.',
  student: suites.small,
  test: 'data/aspect/semeval2016/{language}/test.xml',
  zero_shot: {},
  teacher_epochs: 6,
  raw: 'data/text/{language}.txt',
  text: 4000,
  samples: 10000,
  text_languages: [],
  members: 2,
  encoder_members: 2,
  few_labels_fold: 2,
})
