// The comparisons on real corpora: teachers, the baseline and every objective, for `allennlp
// distillation-suite`.

local runs = import 'runs.libsonnet';
local taggers = import 'taggers.libsonnet';

{
  // `task` is one of tasks.libsonnet, its `train` what the student learns from. `teacher_train` is
  // what the teachers learn from: sentences that the student does not see, and more of them.
  suite(task, title, test, teacher_train, zero_shot={}): {
    local teacher_task(language) = task {
      languages: [language],
      train: teacher_train,
      epochs: task.teacher_epochs,
    },
    local row(name, config, seeds=[1]) = { name: name, config: config, seeds: seeds },
    local distilled(name, objective, seeds=[1]) =
      row(name, runs.distillation(task, objective), seeds) + { teachers: 'crf' },
    local posterior = { type: 'posterior' },
    local weighted_top_k = { type: 'weighted_top_k', k: 10 },

    title: title,
    description: task.description,
    metric: if task.label_encoding == null then 'accuracy' else 'f1-measure',
    test: { [language]: std.strReplace(test, '{language}', language) for language in task.languages },
    zero_shot: zero_shot,
    teachers: { crf: { [l]: runs.teacher(teacher_task(l)) for l in task.languages } },
    rows: [
      row('softmax_student', runs.baseline(task, taggers.bilstm_softmax(task, task.student))),
      row('baseline', runs.baseline(task), [1, 2, 3]),
      distilled('emission', { type: 'emission' }),
      distilled('top_k', { type: 'top_k', k: 1 }),
      distilled('weighted_top_k', weighted_top_k),
      distilled('posterior', posterior, [1, 2, 3]),
      distilled('posterior_weighted_top_k', { type: 'sum', objectives: [posterior, weighted_top_k] }),
      distilled('structural', { type: 'structural' }, [1, 2, 3]),
    ],
    baseline: 'baseline',
  },

  // A student with a tenth of a teacher's parameters in its encoder, so that there is a gap to close.
  small: { words: 32, characters: 16, filters: 24, hidden: 32, dropout: 0.2 },
}
