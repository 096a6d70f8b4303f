// Encoders that are pre-trained here, on text in several languages.

local schedules = import 'schedules.libsonnet';

local real_languages = [
  'de', 'en', 'es', 'fr', 'gl', 'hr', 'it', 'nl', 'nn', 'pl', 'pt', 'ru', 'sv', 'tr',
];

// BERT with rotary positions, which finds out in a fraction of the steps what neighbouring words say (see
// docs/results/encoders.md). Its input is as long as the blocks that it learns from.
local encoder(layers, size, length) = {
  model_type: 'roformer',
  num_hidden_layers: layers,
  hidden_size: size,
  // Few and wide: more would be slower.
  num_attention_heads: std.max(1, size / 64),
  intermediate_size: 4 * size,
  max_position_embeddings: length,
};

{
  // Each has the text, the size of both encoders, and how long they train.
  fixtures: {
    languages: ['en', 'es'],
    reader: { type: 'structkd_conll' },
    train: 'fixtures/conll/{language}/train.txt',
    dev: 'fixtures/conll/{language}/dev.txt',
    out: 'out/pretraining/fixtures',
    teacher: encoder(2, 64, self.length),
    student: encoder(1, 32, self.length),
    length: 48,
    batch_size: 8,
    epochs: 5,
    learning_rate: 3e-3,
  },

  // 6.3 and 4.7 million parameters with 12,000 sub-words. A hundredth of the text is held out.
  text: {
    languages: real_languages,
    reader: { type: 'unlabelled_text' },
    train: 'data/text/{language}.txt#not-fold=1of100',
    dev: 'data/text/{language}.txt#fold=1of100',
    out: 'out/pretraining/text',
    teacher: encoder(4, 256, self.length),
    student: encoder(2, 256, self.length),
    length: 128,
    batch_size: 8,
    // Of 12 million sub-words each.
    epochs: 2,
    learning_rate: 1e-3,
  },

  // 4.1 and 2.0 million parameters, each once through two thirds of the same text: 20 to 45 minutes of one
  // core each. For comparisons of encoders with one another, not to be the best one.
  small: $.text {
    train: 'data/text/{language}.txt#not-fold=1of100#not-fold=1of3',
    out: 'out/pretraining/small',
    teacher: encoder(4, 192, self.length),
    student: encoder(2, 128, self.length),
    epochs: 1,
  },

  // A masked language model of this size, from scratch. `out` is the directory of the tokenizer and
  // of both models.
  alone(task, encoder): {
    local tokenizer = task.out + '/tokenizer',
    local masking = { type: 'masked_language_modeling', model_name: tokenizer },
    dataset_reader: {
      type: 'pretraining_text',
      tokenizer: tokenizer,
      languages: task.languages,
      length: task.length,
      // Smaller languages come more often than they are.
      exponent: 0.7,
      reader: task.reader,
    },
    validation_dataset_reader: self.dataset_reader { exponent: 1.0 },
    train_data_path: task.train,
    validation_data_path: task.dev,
    // Sub-words have their numbers from the tokenizer.
    vocabulary: { type: 'empty' },
    model: {
      type: 'masked_language_model_distillation',
      tokenizer: tokenizer,
      student: encoder,
      // In a few passes over a text nothing is learnt by heart, and without dropout more is learnt.
      dropout: false,
    },
    data_loader: { batch_size: task.batch_size, shuffle: true, collate_fn: masking },
    // The seed has the same sub-words masked each time.
    validation_data_loader: {
      batch_size: task.batch_size,
      shuffle: false,
      collate_fn: masking { seed: 13 },
    },
    trainer: {
      num_epochs: task.epochs,
      validation_metric: '-perplexity/macro',
      optimizer: {
        type: 'huggingface_adamw',
        lr: task.learning_rate,
        betas: [0.9, 0.98],
        weight_decay: 0.01,
        parameter_groups: [[['bias$', 'LayerNorm'], { weight_decay: 0.0 }]],
      },
      learning_rate_scheduler: schedules.falling(0.06),
      grad_norm: 1.0,
      use_amp: true,
      // Long epochs: a checkpoint every ten minutes.
      checkpointer: { keep_most_recent_by_count: 1, save_every_num_seconds: 600 },
      // Writes the encoder and moves lambda.
      callbacks: ['masked_language_model'],
    },
  },

  // A smaller one, distilled from it while it is pre-trained.
  distilled(task): $.alone(task, task.student) + {
    model+: {
      teacher: task.out + '/teacher/transformer',
      temperature: 2.0,
      // Every second layer, with the embeddings.
      hidden_states: {
        layers: {
          [std.toString(layer)]: 2 * layer
          for layer in std.range(0, task.student.num_hidden_layers)
        },
        teacher_size: task.teacher.hidden_size,
      },
      interpolation: { type: 'constant', value: 0.5 },
    },
  },
}
