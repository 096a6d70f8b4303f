// CoNLL-2002 named entities of Dutch and Spanish.
//
//   allennlp distillation-suite training_configs/suites/conll2002.jsonnet -s out/suites/conll2002 --jobs 2 --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local suites = import '../lib/suites.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks.conll2002 {
  description: 'CoNLL-2002. The student learns from an eighth of the sentences of each language (by a hash of their words), the teachers from five other eighths. Every second development sentence is used to choose the epoch. posterior_unlabelled adds unlabelled text of both languages (12,129 sentences) that neither student nor teachers have seen the tags of.',
  student: suites.small,
  train: 'data/conll2002/{language}/train#fold=1of8',
  dev: 'data/conll2002/{language}/testa#fold=1of2',
  epochs: 20,
  teacher_epochs: 10,
};

suites.suite(
  task,
  title='CoNLL-2002 named entities',
  test='data/conll2002/{language}/testb',
  teacher_train=['data/conll2002/{language}/train#fold=%dof8' % i for i in std.range(2, 6)],
) + {
  // As many steps as the other rows take, or a few more: an epoch is four times as long.
  rows+: [{
    name: 'posterior_unlabelled',
    config: runs.distillation(task { epochs: 6 }, { type: 'posterior' }) + {
      train_data_path: [task.train, { unlabelled: 'data/unlabelled/conll2002/{language}.txt' }],
    },
    teachers: 'crf',
    seeds: [1, 2, 3],
  }],
}
