// What the studies in training_configs/studies have in common: how much of each task's text they take,
// how long they train on how many labels, what they are tested on, and their models.

local schedules = import 'schedules.libsonnet';
local taggers = import 'taggers.libsonnet';
local tasks = import 'tasks.libsonnet';

local universal_tags = [
  'ADJ', 'ADP', 'ADV', 'AUX', 'CCONJ', 'DET', 'INTJ', 'NOUN', 'NUM', 'PART', 'PRON', 'PROPN', 'PUNCT',
  'SCONJ', 'SYM', 'VERB', 'X',
];
local bio(types) = ['O'] + [prefix + type for type in types for prefix in ['B-', 'I-']];

local by_language(pattern, languages) = {
  [language]: std.strReplace(pattern, '{language}', language)
  for language in languages
};

// For one core: a third of the text, by a hash of the words. A tenth and a hundredth of it are then
// also by that hash, and the hundredth lies within the tenth.
local third = {
  part: '#fold=1of3',
  // Of English by itself.
  english_part: self.part,
  // By the percentage of the labels. Fewer get more epochs and smaller batches, so that few labels
  // are not few steps as well (some 550, 450 and 300 on WikiAnn), and more patience: epochs of a few
  // steps without progress are no reason to halve the learning rate.
  labels: {
    '100': { part: '', epochs: 10, tokens: 800, patience: 1 },
    '10': { part: '#fold=1of10', epochs: 20, tokens: 200, patience: 3 },
    '1': { part: '#fold=1of100', epochs: 40, tokens: 60, patience: 8 },
  },
  teacher_epochs: 12,
  learning_rate: 0.003,
  scheduler: schedules.plateau(1),
  size: { words: 50, characters: 16, filters: 32, hidden: 64, dropout: 0.2 },
  fine_tuning: tasks.small_encoders,
  // Of a transformer of four layers.
  layers: 2,
  seeds: [1, 2, 3],
};

{
  fixtures: tasks.fixtures {
    part: '',
    english_part: '',
    labels: {
      '100': { part: '', epochs: 15, tokens: 200, patience: 10 },
      '10': { part: '#fold=1of5', epochs: 15, tokens: 200, patience: 10 },
    },
    teacher_epochs: 30,
    size: tasks.fixtures.student,
    layers: 1,
    seeds: [1],
    tags: bio(['LOC', 'MISC', 'ORG', 'PER']),
    title: 'fixtures',
    metric: 'f1-measure',
    unused_dev: 'fixtures/conll/{language}/dev.txt',
    test: by_language('fixtures/conll/{language}/test.txt', self.languages),
    zero_shot: by_language('fixtures/conll/{language}/test.txt', ['pt']),
    // Also of languages that other studies do not take.
    all_tests: self.test,
  },

  ud: tasks.ud + third {
    tags: universal_tags,
    title: 'Universal Dependencies part-of-speech tags',
    metric: 'accuracy',
    dev: 'data/ud/{language}/dev.conllu#fold=1of3',
    // Development data that chooses nothing.
    unused_dev: 'data/ud/{language}/dev.conllu#not-fold=1of3',
    test: by_language('data/ud/{language}/test.conllu', self.languages),
    zero_shot: by_language('data/ud/zero_shot/{language}/test.conllu', ['gl', 'nn', 'hr']),
    all_tests: by_language(
      'data/ud/{language}/test.conllu', ['de', 'en', 'es', 'fr', 'it', 'nl', 'pt', 'sv']
    ),
  },

  wikiann: tasks.wikiann + third {
    tags: bio(['LOC', 'ORG', 'PER']),
    title: 'WikiAnn named entities',
    // Its 5,000 sentences have eight words each.
    english_part: '',
    metric: 'f1-measure',
    dev: 'data/wikiann/{language}/dev#fold=1of6',
    unused_dev: 'data/wikiann/{language}/dev#not-fold=1of6',
    test: by_language('data/wikiann/{language}/test', self.languages),
    zero_shot: by_language('data/wikiann/zero_shot/{language}/test', ['pt']),
    all_tests: by_language('data/wikiann/{language}/test', ['de', 'en', 'fr', 'nl']),
  },

  // These two for encoders.jsonnet alone.
  conll2002: tasks.conll2002 + third {
    part: '#fold=1of4',
    title: 'CoNLL-2002 named entities',
    metric: 'f1-measure',
    dev: 'data/conll2002/{language}/testa#fold=1of3',
    unused_dev: 'data/conll2002/{language}/testa#not-fold=1of3',
  },

  aspect: tasks.aspect + third {
    part: '#not-fold=2of10',
    title: 'SemEval-2016 opinion targets',
    metric: 'f1-measure',
    unused_dev: 'data/aspect/semeval2016/{language}/train.xml#fold=2of10',
  },

  by_language:: by_language,

  // The head of a suite.
  suite(task, title, description): {
    title: '%s: %s' % [title, task.title],
    description: description,
    metric: task.metric,
    test: task.test,
    zero_shot: task.zero_shot,
  },

  // The task on that many percent of its labels.
  on(task, percent):
    local own = task.labels[percent];
    tasks.on_part(task, task.part + own.part, own.tokens) {
      epochs: own.epochs,
      scheduler: schedules.plateau(own.patience),
    },

  // The rest of the labelled text, without its labels, for the teachers to read.
  with_text(task, percent): {
    local part = task.labels[percent].part,
    local all = task.train + task.part,
    dataset_reader+: { unlabelled_reader: task.reader },
    train_data_path: [all + part, { unlabelled: all + std.strReplace(part, '#', '#not-') }],
  },

  // All models know the words of all of the text, and all tags, however few labels they see: they
  // have the same parameters. ("test" is what AllenNLP calls any third file; nothing is tested on it.)
  one_vocabulary(task): {
    dataset_reader+: { unlabelled_reader: task.reader },
    test_data_path: { unlabelled: task.train + task.part },
    datasets_for_vocab_creation: ['test'],
    vocabulary+: { tokens_to_add: { labels: task.tags } },
  },

  // Two layers of LSTMs, or of its size the student with one.
  bilstm(task, layers): taggers.bilstm_crf(task, task.size) + {
    tagger+: { encoder+: { num_layers: layers } },
  },

  // A pre-trained encoder learns a task in fewer epochs, of smaller steps.
  fine_tuned(task): task {
    epochs: 6,
    batch+: { batch_sampler+: { max_tokens: std.min(300, super.max_tokens) } },
  },

  // All layers of a transformer.
  transformer(task, encoder): taggers.transformer_crf(task, encoder),

  // Half of its layers, with random weights unless something else initialises them.
  half_transformer(task, encoder): taggers.transformer_crf(
    task, encoder, { load_weights: false, transformer_kwargs: { num_hidden_layers: task.layers } }
  ),

  // What a study needs that it does not make.
  pretrained(encoder): { [encoder]: 'pre-train it (docs/pretraining.md), or give another ENCODER' },
}
