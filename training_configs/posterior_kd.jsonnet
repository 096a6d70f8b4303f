// An English and a Spanish named-entity tagger distilled into one small tagger of both, through their
// posteriors (Wang et al., 2020), on the fixtures: fifteen seconds on two cores. All of the wiring is
// here; the configurations of real corpora, one folder each, make the same from lib/.
//
//   allennlp train training_configs/posterior_kd.jsonnet -s out/posterior_kd --include-package structkd_allennlp

{
  // Sentences of both languages in turn. The reader puts the language into the metadata, where the
  // model finds it to choose a teacher and to report metrics by language.
  dataset_reader: {
    type: 'multilingual',
    languages: ['en', 'es'],
    reader: {
      type: 'structkd_conll',
      label_encoding: 'BIO',
      // How the student sees a word. A teacher has indexers and a vocabulary of its own.
      token_indexers: {
        tokens: { type: 'single_id' },
        token_characters: { type: 'characters', min_padding_length: 3 },
      },
    },
  },
  train_data_path: 'fixtures/conll/{language}/train.txt',
  validation_data_path: 'fixtures/conll/{language}/dev.txt',
  vocabulary: { min_count: { tokens: 1 } },

  model: {
    type: 'structure_kd',
    // All that is saved in model.tar.gz. For the same tagger without teachers see baseline.jsonnet.
    student: {
      type: 'structured_crf_tagger',
      label_encoding: 'BIO',
      // Sequences that BIO forbids get no probability: not in the loss, the marginals or the output.
      constrain_crf: true,
      include_start_end_transitions: true,
      text_field_embedder: {
        token_embedders: {
          tokens: { type: 'embedding', embedding_dim: 16 },
          token_characters: {
            type: 'character_encoding',
            embedding: { embedding_dim: 8, vocab_namespace: 'token_characters' },
            encoder: { type: 'cnn', embedding_dim: 8, num_filters: 12, ngram_filter_sizes: [3] },
          },
        },
      },
      // 28 = 16 of the word and 12 of its characters.
      encoder: { type: 'lstm', input_size: 28, hidden_size: 16, bidirectional: true },
      dropout: 0.1,
    },
    // teacher.jsonnet trained these. `target_store: { directory: 'out/targets' }` would keep their
    // scores for later epochs and runs.
    teachers: { en: 'fixtures/teachers/en.tar.gz', es: 'fixtures/teachers/es.tar.gz' },
    // What the student learns of its teachers. Others, and posteriors at another temperature:
    //   --overrides '{"model.objective": {"type": "emission"}}'
    //   --overrides '{"model.objective": {"type": "top_k", "k": 1}}'
    //   --overrides '{"model.objective": {"type": "weighted_top_k", "k": 10}}'
    //   --overrides '{"model.objective": {"type": "structural"}}'
    //   --overrides '{"model.objective": {"type": "sum", "objectives": [{"type": "posterior"}, {"type": "weighted_top_k", "k": 10}]}}'
    //   --overrides '{"model.objective.temperature": 2.0}'
    objective: { type: 'posterior' },
    // lambda in  lambda * L_distillation + (1 - lambda) * L_nll:  from 1 down to 0. Or half and half:
    //   --overrides '{"model.interpolation": {"type": "constant", "value": 0.5}}'
    interpolation: { type: 'linear', epochs: 40 },
  },

  data_loader: { batch_size: 8, shuffle: true },
  // In the order of the file, so that predictions can be held beside it.
  validation_data_loader: { batch_size: 32, shuffle: false },
  trainer: {
    num_epochs: 40,
    // The mean over languages.
    validation_metric: '+f1-measure/macro',
    optimizer: { type: 'adam', lr: 0.01 },
    learning_rate_scheduler: { type: 'reduce_on_plateau', mode: 'max', factor: 0.5, patience: 10 },
    grad_norm: 5.0,
    // One checkpoint is enough to recover from.
    checkpointer: { keep_most_recent_by_count: 1 },
    // The first checks teachers against the data before the first step, and moves lambda; the other
    // looks for development sentences in the training data.
    callbacks: ['structure_kd', 'overlap_check'],
  },
}
