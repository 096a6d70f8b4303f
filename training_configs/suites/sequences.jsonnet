// How many sequences k it takes, in Top-K and in weighted Top-K distillation, on SemEval-2016 opinion targets.
//
//   allennlp distillation-suite training_configs/suites/sequences.jsonnet -s out/suites/sequences --jobs 2 --include-package structkd_allennlp

local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

suites.sequences(tasks.aspect {
  title: 'The number of sequences k, on SemEval-2016 opinion targets',
  description: 'Students that learn from the k best sequences of an ensemble on the labelled sentences, each of which counts the same (top_k) or by its probability (weighted_top_k).',
  student: suites.small,
  test: 'data/aspect/semeval2016/{language}/test.xml',
  zero_shot: {},
  epochs: 15,
  teacher_epochs: 15,
  members: 2,
})
