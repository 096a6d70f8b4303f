// The settings of Wang et al. (2020), for any of tasks.libsonnet: frozen embeddings under a BiLSTM-CRF,
// SGD at 0.1, halved after 10 epochs without progress, batches of 2,000 tokens, up to 300 epochs.

local schedules = import 'schedules.libsonnet';
local tasks = import 'tasks.libsonnet';

{
  task(name): tasks[name] {
    epochs: 300,
    batch: {
      batch_sampler: { type: 'max_tokens_sampler', max_tokens: 2000, sorting_keys: ['tokens'] },
    },
    scheduler: schedules.plateau(10),
    teachers: {
      [language]: 'out/paper/%s/teachers/%s/model.tar.gz' % [name, language]
      for language in std.objectFields(tasks[name].teachers)
    },
    target_store: { directory: 'out/paper/%s/targets' % name },
    // As the teachers, with fastText's 300 dimensions for words.
    teacher: { words: 300, characters: 25, filters: 50, hidden: 256, dropout: 0.5 },
    student: { hidden: 600, dropout: 0.5 },
    fine_tuning: { epochs: 10, encoder: 5e-5, others: 5e-5, projection: 5e-5, transitions: 0.5 },
  },

  sgd: { trainer+: { optimizer: { type: 'sgd', lr: 0.1 } } },
}
