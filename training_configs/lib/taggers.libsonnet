// Taggers: how words become vectors, and the CRF over them.

local schedules = import 'schedules.libsonnet';

local crf = {
  type: 'structured_crf_tagger',
  include_start_end_transitions: true,
};

local with_labels(task) =
  if task.label_encoding == null then {} else {
    label_encoding: task.label_encoding,
    // Impossible sequences get no probability: not in the loss, the marginals or the output.
    constrain_crf: true,
  };

local words = {
  indexer: { type: 'single_id' },
  embedder(size): { type: 'embedding', embedding_dim: size.words },
};

local characters = {
  indexer: { type: 'characters', min_padding_length: 3 },
  embedder(size): {
    type: 'character_encoding',
    embedding: { embedding_dim: size.characters, vocab_namespace: 'token_characters' },
    encoder: {
      type: 'cnn',
      embedding_dim: size.characters,
      num_filters: size.filters,
      ngram_filter_sizes: [3],
    },
  },
};

// The directory of a transformer, or its name on the Hugging Face Hub. Its size and its longest
// input are its own; longer sentences are folded.
local transformer(encoder) = { type: 'folded_transformer', model_name: encoder };

// A pre-trained encoder wants small steps, what stands on it larger ones, and transitions, which
// start from noise, far larger ones (Wang et al., 2020: 5e-5 against 0.5). They rise linearly over
// the first tenth of training, and fall linearly from there.
local fine_tuning(rates) = {
  optimizer: {
    type: 'huggingface_adamw',
    lr: rates.others,
    weight_decay: 0.01,
    parameter_groups: [
      [['transformer_model'], { lr: rates.encoder }],
      [['tag_projection_layer'], { lr: rates.projection }],
      [['crf\\.'], { lr: rates.transitions, weight_decay: 0.0 }],
    ],
  },
  learning_rate_scheduler: schedules.falling(),
};

// Each has indexers, a vocabulary and a tagger; some, what they change in the trainer.
{
  // Words and a CNN over their characters, a BiLSTM, a CRF. `size` has words, characters, filters,
  // hidden (units a direction) and dropout.
  bilstm_crf(task, size): {
    token_indexers: { tokens: words.indexer, token_characters: characters.indexer },
    vocabulary: { min_count: { tokens: task.min_count } },
    tagger: crf + with_labels(task) + {
      text_field_embedder: {
        token_embedders: {
          tokens: words.embedder(size),
          token_characters: characters.embedder(size),
        },
      },
      encoder: {
        type: 'lstm',
        input_size: size.words + size.filters,
        hidden_size: size.hidden,
        bidirectional: true,
      },
      dropout: size.dropout,
    },
  },

  // The same with transitions that stay 0, which makes the CRF a softmax over the labels of each token.
  bilstm_softmax(task, size): $.bilstm_crf(task, size) + {
    no_grad: ['crf\\.transitions'],
    tagger+: {
      include_start_end_transitions: false,
      initializer: { regexes: [['crf\\.transitions', { type: 'constant', val: 0 }]] },
      constrain_crf: false,
      constrain_crf_decoding: false,
    },
  },

  // A fine-tuned transformer, a CRF. `options` are further ones of its embedder: with
  // `{ transformer_kwargs: { num_hidden_layers: 3 } }` it has the first three layers, with
  // `{ load_weights: false }` it starts from random weights.
  transformer_crf(task, encoder, options={}): {
    token_indexers: { tokens: transformer(encoder) },
    vocabulary: {},
    tagger: crf + with_labels(task) + {
      text_field_embedder: { token_embedders: { tokens: transformer(encoder) + options } },
      encoder: { type: 'pass_through' },
      dropout: 0.1,
    },
    trainer: fine_tuning(task.fine_tuning),
  },

  // A transformer, frozen or fine-tuned, a BiLSTM, a CRF. With `words` and `filters` in its `size`,
  // where they are not 0, words and a CNN over their characters stand beside the transformer.
  transformer_bilstm_crf(task, encoder, size, fine_tuned=false): {
    local has(part) = std.get(size, part, 0) > 0,
    token_indexers: {
      tokens: transformer(encoder),
      [if has('words') then 'words']: words.indexer,
      [if has('filters') then 'token_characters']: characters.indexer,
    },
    vocabulary: if has('words') then { min_count: { tokens: task.min_count } } else {},
    tagger: crf + with_labels(task) + {
      text_field_embedder: {
        token_embedders: {
          tokens: transformer(encoder) + (
            // Frozen, it is as good as several kinds of vectors: one of each of its layers.
            if fine_tuned then {} else { train_parameters: false, last_layer_only: false }
          ),
          [if has('words') then 'words']: words.embedder(size),
          [if has('filters') then 'token_characters']: characters.embedder(size),
        },
      },
      encoder: { type: 'lstm', hidden_size: size.hidden, bidirectional: true },
      dropout: size.dropout,
    },
    trainer: if fine_tuned then fine_tuning(task.fine_tuning) else {},
  },
}
