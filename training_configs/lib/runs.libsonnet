// The runs: a teacher, a baseline and a student by distillation, for any of tasks.libsonnet.

local taggers = import 'taggers.libsonnet';

{
  // What all runs share. `text` is one of taggers.libsonnet.
  local run(task, text, model) = {
    dataset_reader: {
      type: 'multilingual',
      languages: task.languages,
      reader: task.reader + { token_indexers: text.token_indexers } + (
        if task.label_encoding == null then {} else { label_encoding: task.label_encoding }
      ),
    },
    train_data_path: task.train,
    validation_data_path: task.dev,
    vocabulary: text.vocabulary,
    model: model,
    data_loader: task.batch,
    // In the order of the file, so that predictions can be held beside it.
    validation_data_loader: { batch_size: 32, shuffle: false },
    trainer: {
      num_epochs: task.epochs,
      validation_metric: task.validation_metric,
      optimizer: { type: 'adam', lr: task.learning_rate },
      learning_rate_scheduler: {
        type: 'reduce_on_plateau',
        mode: 'max',
        factor: 0.5,
        patience: task.patience,
      },
      grad_norm: 5.0,
      // One checkpoint is enough to recover from.
      checkpointer: { keep_most_recent_by_count: 1 },
    },
  },

  local softmax = { trainer+: { no_grad: ['crf\\.transitions'] } },
  local one_language(task) = task { languages: [task.languages[0]] },
  local student(task) = taggers.bilstm_crf(task, task.student),
  local softmax_student(task) = taggers.bilstm_softmax(task, task.student),

  // A large tagger of one language. Choose it with
  //   --overrides '{"dataset_reader.languages": ["es"]}'
  teacher(task):
    local text = taggers.bilstm_crf(task, task.teacher);
    run(one_language(task), text, text.tagger),

  // The same without transitions: a weaker teacher.
  softmax_teacher(task):
    local text = taggers.bilstm_softmax(task, task.teacher);
    run(one_language(task), text, text.tagger) + softmax,

  // The small multilingual tagger, trained on the gold tags alone.
  baseline(task): run(task, student(task), student(task).tagger),
  softmax_student(task): run(task, softmax_student(task), softmax_student(task).tagger) + softmax,

  // The same tagger, distilled from the teachers.
  distillation(task, objective, text=student(task), teachers=task.teachers):
    run(task, text, {
      type: 'structure_kd',
      student: text.tagger,
      teachers: teachers,
      objective: objective,
      interpolation: { type: 'linear', epochs: task.epochs },
      [if 'target_store' in task then 'target_store']: task.target_store,
    }) + { trainer+: { callbacks: ['structure_kd'] } },

  // The rows of the tables of Wang et al. (2020), and the exact objective of Wang et al. (2021).
  token_kd(task):
    $.distillation(task, { type: 'emission' }, softmax_student(task), task.softmax_teachers) + softmax,
  emission_kd(task): $.distillation(task, { type: 'emission' }),
  top_k_kd(task): $.distillation(task, { type: 'top_k', k: 1 }),
  weighted_top_k_kd(task, k=10): $.distillation(task, { type: 'weighted_top_k', k: k }),
  posterior_kd(task): $.distillation(task, { type: 'posterior' }),
  posterior_weighted_top_k_kd(task): $.distillation(task, {
    type: 'sum',
    objectives: [{ type: 'posterior' }, { type: 'weighted_top_k', k: 10 }],
  }),
  structural_kd(task): $.distillation(task, { type: 'structural' }),

  // Variants of the posterior row.
  weaker_teachers(task): $.distillation(task, { type: 'posterior' }, teachers=task.softmax_teachers),
  cross_fitted(task): $.distillation(task, { type: 'posterior' }, teachers=task.cross_fitted_teachers),
  unlabelled(task): $.posterior_kd(task) + {
    train_data_path: [task.train, { unlabelled: task.unlabelled }],
  },
}
