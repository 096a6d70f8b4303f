// Taggers: how words become vectors, and the CRF over them.

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

{
  // Words and a CNN over their characters, a BiLSTM, a CRF. `size` has words, characters, filters,
  // hidden (units a direction) and dropout.
  bilstm_crf(task, size): {
    token_indexers: {
      tokens: { type: 'single_id' },
      token_characters: { type: 'characters', min_padding_length: 3 },
    },
    vocabulary: { min_count: { tokens: task.min_count } },
    tagger: crf + with_labels(task) + {
      text_field_embedder: {
        token_embedders: {
          tokens: { type: 'embedding', embedding_dim: size.words },
          token_characters: {
            type: 'character_encoding',
            embedding: { embedding_dim: size.characters, vocab_namespace: 'token_characters' },
            encoder: {
              type: 'cnn',
              embedding_dim: size.characters,
              num_filters: size.filters,
              ngram_filter_sizes: [3],
            },
          },
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

  // A multilingual BERT (a directory with config, vocabulary and weights), fine-tuned, and a CRF.
  transformer_crf(task, directory, hidden_size): {
    local transformer = { model_name: directory, max_length: 512 },
    token_indexers: { tokens: transformer { type: 'pretrained_transformer_mismatched' } },
    vocabulary: {},
    tagger: crf + with_labels(task) + {
      text_field_embedder: {
        token_embedders: { tokens: transformer { type: 'pretrained_transformer_mismatched' } },
      },
      encoder: { type: 'pass_through', input_dim: hidden_size },
      dropout: 0.1,
    },
  },
}
