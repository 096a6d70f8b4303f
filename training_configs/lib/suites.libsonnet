// Given labels in several languages and raw text: which small tagger is best? The comparisons on real
// corpora, for `allennlp distillation-suite`. Everybody has the same labels; all students have the same
// architecture, vocabulary and number of parameters.

local runs = import 'runs.libsonnet';
local taggers = import 'taggers.libsonnet';
local tasks = import 'tasks.libsonnet';

local structural = { type: 'structural' };
local posterior = { type: 'posterior' };
local top_k(k) = { type: 'top_k', k: k };
local weighted_top_k(k) = { type: 'weighted_top_k', k: k };
// Each sentence has the teachers' best sequence as its tags.
local pseudo_labels = top_k(1);

// Five seeds for what is held against the baseline first of all, three for the others.
local five_seeds = [1, 2, 3, 4, 5];
local three_seeds = [1, 2, 3];
local few = ['10', '1'];

// What the rows of a task are made of. See `suite` for what it has.
local parts(task) = {
  // Of a fraction of the labels. Fewer get more epochs and smaller batches, so that few labels are not few
  // steps as well, and more patience.
  local fraction(part, times=1, tokens=800, patience=task.patience) =
    tasks.on_part(task, part, tokens) {
      epochs: times * task.epochs,
      teacher_epochs: times * task.teacher_epochs,
      patience: patience,
    },
  all: fraction(''),
  '10': fraction('#fold=1of10', 2, 200, 3),
  '1': fraction('#fold=1of100', 4, 60, 8),
  all_but(i, n): fraction('#not-fold=%dof%d' % [i, n]),

  // Raw text beside labels. An epoch is longer, so there are fewer; batches are those of all labels.
  with_text(own, languages=[]): own {
    epochs: task.text_epochs,
    patience: task.patience,
    batch: $.all.batch,
    changes: {
      dataset_reader+: { unlabelled_reader: { type: 'unlabelled_text', max_instances: task.text } },
      train_data_path: [own.train, {
        unlabelled: ['data/text/{language}.txt']
                    + ['%s=data/text/%s.txt' % [l, l] for l in languages],
      }],
    },
  },

  // The words and tags of all labelled sentences, whatever part of them a model learns from. ("test" is
  // what AllenNLP calls any third file; nothing is tested on it.)
  local one_vocabulary = {
    test_data_path: task.train,
    datasets_for_vocab_creation: ['test'],
  },

  student: taggers.bilstm_crf(task, task.student),
  softmax_student: taggers.bilstm_softmax(task, task.student),
  teacher(own=$.all, tagger=taggers.bilstm_crf(task, task.teacher)):
    runs.baseline(own { epochs: own.teacher_epochs }, tagger) + one_vocabulary,

  local row(name, config, seeds) = { name: name, config: config + one_vocabulary, seeds: seeds },
  alone(name, own=$.all, tagger=$.student, seeds=three_seeds):
    row(name, runs.baseline(own, tagger), seeds),
  distilled(name, objective, own=$.all, teachers='ensemble', tagger=$.student, seeds=three_seeds):
    row(name, runs.distillation(own, objective, tagger) + std.get(own, 'changes', {}), seeds)
    + { teachers: teachers },

  contrast(row, against): {
    name: '%s rather than %s' % [row, against],
    rows: [row],
    against: [against],
  },

  head: {
    title: task.title,
    description: task.description,
    metric: if task.label_encoding == null then 'accuracy' else 'f1-measure',
    test: { [l]: std.strReplace(task.test, '{language}', l) for l in task.languages },
    zero_shot: task.zero_shot,
    teachers: { ensemble: { config: $.teacher(), members: task.members, seeds: three_seeds } },
  },
};

{
  // `task` is one of tasks.libsonnet with title, description, test (a pattern), zero_shot (files by language),
  // student (its size), members (of an ensemble), teacher_epochs, text (how many sentences of raw text in
  // each language), text_languages (beside those trained on) and text_epochs.
  suite(task):
    local own = parts(task);
    local text = own.with_text(own.all);
    local others = [
      // Not starved of steps: as many as with raw text, until development data says to stop.
      own.alone('baseline_long', own.all { epochs: 3 * task.epochs, patience: 3 }) + {
        config+: { trainer+: { patience: 10 } },
      },
      own.alone('softmax', tagger=own.softmax_student),

      // On labelled text alone.
      own.distilled('token_kd', { type: 'emission' }, teachers='softmax', tagger=own.softmax_student),
      own.distilled('weaker_teachers', posterior, teachers='softmax'),
      own.distilled('emission', { type: 'emission' }),
      own.distilled('top_k', top_k(1)),
      own.distilled('weighted_top_k', weighted_top_k(10)),
      own.distilled('posterior', posterior),
      own.distilled(
        'posterior_weighted_top_k', { type: 'sum', objectives: [posterior, weighted_top_k(10)] }
      ),
      own.distilled('structural', structural),
      own.distilled('cross_fitted', structural, teachers='cross_fitted'),

      // With raw text.
      own.distilled('text_pseudo_labels', pseudo_labels, text, seeds=five_seeds),
      own.distilled('text_weighted_top_k', weighted_top_k(10), text),
      own.distilled('text_posterior', posterior, text, seeds=five_seeds),
      own.distilled('text_structural', structural, text, seeds=five_seeds),
      own.distilled('text_one_teacher', structural, text, teachers='ensemble/1'),
      own.distilled('text_monolingual', structural, text, teachers='monolingual'),
    ] + (
      if task.text_languages == [] then [] else [
        own.distilled('text_zero_shot', structural, own.with_text(own.all, task.text_languages)),
      ]
    );
    own.head + {
      teachers+: {
        softmax: {
          config: own.teacher(tagger=taggers.bilstm_softmax(task, task.teacher)),
          seeds: three_seeds,
        },
        cross_fitted: {
          config: { folds: [own.teacher(own.all_but(i, 3)) for i in [1, 2, 3]] },
          seeds: three_seeds,
        },
        monolingual: {
          by_language: { [l]: own.teacher(own.all { languages: [l] }) for l in task.languages },
          seeds: three_seeds,
        },
      } + {
        ['ensemble_' + p]: {
          config: own.teacher(own[p]),
          members: task.members,
          seeds: three_seeds,
        }
        for p in few
      },
      rows: [own.alone('baseline', seeds=five_seeds)] + others + std.flattenArrays([
        local few_text = own.with_text(own[p]);
        local teachers = 'ensemble_' + p;
        local compared = { baseline: 'baseline_' + p };
        [
          own.alone('baseline_' + p, own[p]),
          own.distilled('text_pseudo_labels_' + p, pseudo_labels, few_text, teachers) + compared,
          own.distilled('text_structural_' + p, structural, few_text, teachers) + compared,
        ]
        for p in few
      ]),
      baseline: 'baseline',
      contrasts: [own.contrast(row.name, 'baseline') for row in others] + [
        own.contrast('text_structural', 'text_pseudo_labels'),
        own.contrast('text_posterior', 'text_pseudo_labels'),
        own.contrast('text_structural', 'structural'),
      ] + std.flattenArrays([
        [
          own.contrast('text_pseudo_labels_' + p, 'baseline_' + p),
          own.contrast('text_structural_' + p, 'baseline_' + p),
          own.contrast('text_structural_' + p, 'text_pseudo_labels_' + p),
        ]
        for p in few
      ]),
    },

  // How much k matters, on labelled text alone: the k best sequences, alike or weighted.
  sequences(task):
    local own = parts(task);
    own.head + {
      rows: [own.alone('baseline')] + [
        own.distilled('%s_%d' % [make(k).type, k], make(k))
        for make in [top_k, weighted_top_k]
        for k in [1, 2, 5, 10, 20, 50]
      ],
      baseline: 'baseline',
    },

  // A student with a sixth of a teacher's units, so that there is a gap to close.
  small: { words: 32, characters: 16, filters: 24, hidden: 32, dropout: 0.2 },
}
