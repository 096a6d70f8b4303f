// The runs: a teacher, a baseline and a student by distillation, for any of tasks.libsonnet. `text` is
// one of taggers.libsonnet; `runs.baseline(task, taggers.bilstm_softmax(task, task.student))` has no
// transitions, for example.

local taggers = import 'taggers.libsonnet';

{
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
      learning_rate_scheduler: task.scheduler,
      grad_norm: 5.0,
      // One checkpoint is enough to recover from.
      checkpointer: { keep_most_recent_by_count: 1 },
      // So that development data that is also in the training data is noticed.
      callbacks: ['overlap_check'],
      [if 'no_grad' in text then 'no_grad']: text.no_grad,
    } + std.get(text, 'trainer', {}),
  },

  // A large tagger of one language. Choose it with
  //   --overrides '{"dataset_reader.languages": ["es"]}'
  teacher(task, text=taggers.bilstm_crf(task, task.teacher)):
    run(task { languages: [task.languages[0]] }, text, text.tagger),

  // The small multilingual tagger, trained on the gold tags alone.
  baseline(task, text=taggers.bilstm_crf(task, task.student)): run(task, text, text.tagger),

  // The same tagger, distilled from the teachers.
  distillation(task, objective, text=taggers.bilstm_crf(task, task.student)):
    run(task, text, {
      type: 'structure_kd',
      student: text.tagger,
      teachers: task.teachers,
      objective: objective,
      interpolation: { type: 'linear', epochs: task.epochs },
      [if 'target_store' in task then 'target_store']: task.target_store,
    }) + { trainer+: { callbacks: ['structure_kd', 'overlap_check'] } },

  // A run over several processes of each node, one for each of these devices, where -1 is a CPU. Each
  // takes its share of a batch, so that a step learns from as much as it does in one process.
  distributed(run, devices, nodes=1, address='127.0.0.1'):
    local share(size) = std.max(1, std.floor(size / (nodes * std.length(devices))));
    run {
      distributed: {
        cuda_devices: devices,
        [if nodes > 1 then 'num_nodes']: nodes,
        [if nodes > 1 then 'primary_address']: address,
        [if nodes > 1 then 'primary_port']: 29500,
      },
      data_loader+: if 'batch_size' in run.data_loader then {
        batch_size: share(super.batch_size),
      } else { batch_sampler+: { max_tokens: share(super.max_tokens) } },
    },
}
