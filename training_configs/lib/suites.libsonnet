// The comparisons on real corpora: teachers, the baseline and every objective, for `allennlp
// distillation-suite`.

local runs = import 'runs.libsonnet';

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
    local distilled(name, config, seeds=[1]) = row(name, config, seeds) + { teachers: 'crf' },

    title: title,
    description: task.description,
    metric: if task.label_encoding == null then 'accuracy' else 'f1-measure',
    test: { [language]: std.strReplace(test, '{language}', language) for language in task.languages },
    zero_shot: zero_shot,
    teachers: { crf: { [l]: runs.teacher(teacher_task(l)) for l in task.languages } },
    rows: [
      row('softmax_student', runs.softmax_student(task)),
      row('baseline', runs.baseline(task), [1, 2, 3]),
      distilled('emission', runs.emission_kd(task)),
      distilled('top_k', runs.top_k_kd(task)),
      distilled('weighted_top_k', runs.weighted_top_k_kd(task)),
      distilled('posterior', runs.posterior_kd(task), [1, 2, 3]),
      distilled('posterior_weighted_top_k', runs.posterior_weighted_top_k_kd(task)),
      distilled('structural', runs.structural_kd(task), [1, 2, 3]),
    ],
    baseline: 'baseline',
  },

  // A student with a tenth of a teacher's parameters in its encoder, so that there is a gap to close.
  small: { words: 32, characters: 16, filters: 24, hidden: 32, dropout: 0.2 },
}
