// All objectives and kinds of teacher on four treebanks, where student and teachers learn from the same
// sentences, as in the paper: the setting of docs/results/objectives.md.
//
//   allennlp distillation-suite training_configs/suites/objectives.jsonnet -s out/suites/objectives --jobs 2 --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local suites = import '../lib/suites.libsonnet';
local taggers = import '../lib/taggers.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local posterior = { type: 'posterior' };
local task = tasks.ud {
  description: 'Universal Dependencies, UPOS. Student and teachers learn from the same sentences. token_kd and weaker_teachers have teachers without transitions, and token_kd a student without; cross_fitted has five teachers of each language, of which that teaches a sentence that has not seen it; unlabelled adds text without tags.',
  epochs: 10,
  teacher_epochs: 10,
};
local row(name, teachers, config) = { name: name, teachers: teachers, config: config, seeds: [1] };
local teacher(language, train=task.train, text=taggers.bilstm_crf(task, task.teacher)) =
  runs.teacher(task { languages: [language], train: train }, text);

suites.suite(
  task,
  title='All objectives, on Universal Dependencies part-of-speech tags',
  test='data/ud/{language}/test.conllu',
  teacher_train=task.train,
  zero_shot={ [l]: 'data/ud/zero_shot/%s/test.conllu' % l for l in ['gl', 'nn', 'hr'] },
) + {
  teachers+: {
    softmax: {
      [l]: teacher(l, text=taggers.bilstm_softmax(task, task.teacher))
      for l in task.languages
    },
    cross_fitted: {
      [l]: { folds: [teacher(l, task.train + '#not-fold=%dof5' % i) for i in std.range(1, 5)] }
      for l in task.languages
    },
  },
  rows+: [
    row('token_kd', 'softmax', runs.distillation(
      task, { type: 'emission' }, taggers.bilstm_softmax(task, task.student)
    )),
    row('weaker_teachers', 'softmax', runs.distillation(task, posterior)),
    row('cross_fitted', 'cross_fitted', runs.distillation(task, posterior)),
    row('unlabelled', 'crf', runs.distillation(task, posterior) + {
      train_data_path: (import '../ud/unlabelled.jsonnet').train_data_path,
    }),
  ],
}
