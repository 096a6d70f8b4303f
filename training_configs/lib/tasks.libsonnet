// The corpora: how each is read, where it lies, which languages it trains on, what is measured.
// `{language}` in a path stands for every one of `languages`. Those under data/ are not part of the
// repository: make `data` a link to wherever they lie.

local schedules = import 'schedules.libsonnet';

local spans = { label_encoding: 'BIO', validation_metric: '+f1-measure/macro' };
local tokens = { label_encoding: null, validation_metric: '+accuracy/macro' };

// Enough for a fixture and over in seconds, against minutes a run on a real corpus.
local tiny = {
  teacher: { words: 24, characters: 8, filters: 16, hidden: 32, dropout: 0.2 },
  student: { words: 16, characters: 8, filters: 12, hidden: 16, dropout: 0.1 },
  min_count: 1,
  epochs: 40,
  batch: { batch_size: 8, shuffle: true },
  learning_rate: 0.01,
  scheduler: schedules.plateau(10),
  fine_tuning: { epochs: 40, encoder: 5e-4, others: 1e-2, projection: 1e-2, transitions: 5e-2 },
};
local by_tokens(most) = {
  batch_sampler: { type: 'max_tokens_sampler', max_tokens: most, sorting_keys: ['tokens'] },
};
local full = {
  teacher: { words: 100, characters: 25, filters: 50, hidden: 200, dropout: 0.4 },
  student: { words: 50, characters: 16, filters: 32, hidden: 48, dropout: 0.2 },
  min_count: 2,
  epochs: 12,
  // With raw text beside the labels.
  text_epochs: 6,
  batch: by_tokens(800),
  // Tuned on development data: see docs/results.
  learning_rate: 0.01,
  scheduler: schedules.falling(),
  fine_tuning: { epochs: 10, encoder: 1e-4, others: 1e-3, projection: 1e-3, transitions: 1e-2 },
};

// Where the runs of a real corpus leave their teachers and the targets of these.
local full_teachers(task, languages) = {
  teachers: { [l]: 'out/%s/teachers/%s/model.tar.gz' % [task, l] for l in languages },
  target_store: { directory: 'out/%s/targets' % task },
};

{
  // Learning rates of encoders of a few million parameters, as docs/pretraining.md makes them; larger ones
  // want smaller rates.
  small_encoders:: { encoder: 5e-4, others: 3e-3, projection: 3e-3, transitions: 1e-2 },

  // The task on a part of its labels, such as '#fold=1of10', in batches of so many tokens.
  on_part(task, part, tokens): task { train: task.train + part, batch: by_tokens(tokens) },

  // The task with raw text beside its labels. An epoch is several times as long, so there are fewer, of larger
  // batches.
  with_text(task): task { epochs: task.text_epochs, batch: by_tokens(1600) },

  fixtures: spans + tiny {
    reader: { type: 'structkd_conll' },
    languages: ['en', 'es'],
    train: 'fixtures/conll/{language}/train.txt',
    dev: 'fixtures/conll/{language}/dev.txt',
    teachers: { [l]: 'fixtures/teachers/%s.tar.gz' % l for l in ['en', 'es'] },
  },

  // Universal Dependencies part-of-speech tags.
  ud: tokens + full + full_teachers('ud', ['de', 'en', 'es', 'fr', 'it', 'nl', 'pt', 'sv']) {
    reader: { type: 'universal_dependencies_pos' },
    languages: ['en', 'fr', 'it', 'sv'],
    train: 'data/ud/{language}/train.conllu',
    dev: 'data/ud/{language}/dev.conllu',
    text_epochs: 8,
  },

  // WikiAnn named entities.
  wikiann: spans + full + full_teachers('wikiann', ['de', 'en', 'fr', 'nl']) {
    reader: { type: 'wikiann' },
    languages: ['de', 'en', 'nl'],
    train: 'data/wikiann/{language}/train',
    dev: 'data/wikiann/{language}/dev',
  },

  // CoNLL-2002 named entities.
  conll2002: spans + full + full_teachers('conll2002', ['es', 'nl']) {
    reader: { type: 'structkd_conll' },
    languages: ['es', 'nl'],
    train: 'data/conll2002/{language}/train',
    dev: 'data/conll2002/{language}/testa',
  },

  // SemEval-2016 restaurant reviews, opinion targets. There is no development file: a tenth of the
  // training sentences is held out for it, as in Wang et al. (2020).
  aspect: spans + full + full_teachers('aspect', ['en', 'es', 'nl', 'ru', 'tr']) {
    reader: { type: 'semeval_aspect' },
    languages: ['en', 'es', 'nl', 'ru', 'tr'],
    train: 'data/aspect/semeval2016/{language}/train.xml#not-fold=1of10',
    dev: 'data/aspect/semeval2016/{language}/train.xml#fold=1of10',
  },
}
