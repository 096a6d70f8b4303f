// SemEval-2016 opinion targets of restaurant reviews in five languages.
//
//   allennlp distillation-suite training_configs/suites/aspect.jsonnet -s out/suites/aspect --jobs 2 --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local train = 'data/aspect/semeval2016/{language}/train.xml';

local task = tasks.aspect {
  description: 'SemEval-2016, task 5, opinion targets. Of ten parts of the training sentences of each language (by a hash of their words) one is used to choose the epoch, three are what the student learns from, and the other six what the teachers learn from.',
  student: suites.small,
  train: [train + '#fold=%dof10' % i for i in std.range(2, 4)],
  dev: train + '#fold=1of10',
  epochs: 20,
  teacher_epochs: 20,
};

suites.suite(
  task,
  title='SemEval-2016 opinion targets',
  test='data/aspect/semeval2016/{language}/test.xml',
  teacher_train=[train + '#fold=%dof10' % i for i in std.range(5, 10)],
) + {
  // How much k matters, beside weighted_top_k with k = 10.
  rows+: [
    {
      name: 'weighted_top_%d' % k,
      config: runs.distillation(task, { type: 'weighted_top_k', k: k }),
      teachers: 'crf',
      seeds: [1],
    }
    for k in [2, 5, 20]
  ],
}
