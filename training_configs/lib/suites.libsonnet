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

// Of the teachers that students take turns with.
local teachers_seeds = [1, 2];
local with_three_seeds(rows) = [row { seeds: [1, 2, 3] } for row in rows];

// What the rows of a task are made of. See `suite` for what it has.
local parts(task) = {
  // Of a fraction of the labels. Fewer get more epochs and smaller batches, so that few labels are not few
  // steps as well.
  local fraction(part, times=1, tokens=800) = tasks.on_part(task, part, tokens) {
    epochs: times * task.epochs,
    teacher_epochs: times * task.teacher_epochs,
    // What is left of the labelled sentences.
    rest:: task.train + std.strReplace(part, '#fold', '#not-fold'),
    // For an encoder that is fine-tuned.
    fine_tuned:: tasks.on_part(task, part, 400 / times) {
      teacher_epochs: 5 * times,
      fine_tuning: tasks.small_encoders,
    },
  },
  all: fraction(''),
  local fold = std.get(task, 'few_labels_fold', 1),
  '10': fraction('#fold=%dof10' % fold, 2, 200),
  '1': fraction('#fold=%dof100' % fold, 4, 60),
  all_but(i, n): fraction('#not-fold=%dof%d' % [i, n]),

  // Unlabelled text beside labels.
  local with_unlabelled(own, reader, paths) = tasks.with_text(own) {
    changes: {
      dataset_reader+: { unlabelled_reader: reader },
      train_data_path: [own.train, { unlabelled: paths }],
    },
  },
  with_text(own, more=[]): with_unlabelled(
    own, { type: 'unlabelled_text', max_instances: task.text }, [task.raw] + more
  ),
  // Not raw text, but sentences that are sampled from n-grams of the labelled ones.
  with_samples(own): with_unlabelled(
    own, { type: 'ngram_text', reader: task.reader, max_instances: task.samples }, [own.train]
  ),
  // Not raw text, but the rest of the labelled sentences, without their labels. They are fewer, and read twice as
  // often.
  with_rest(own): with_unlabelled(own, task.reader, [own.rest]) { epochs: 2 * super.epochs },

  // What all runs have: the words and tags of all labelled sentences, whatever part of them a model learns
  // from. ("test" is what AllenNLP calls any third file; nothing is tested on it.)
  local alike = {
    test_data_path: task.train,
    datasets_for_vocab_creation: ['test'],
  },

  student: taggers.bilstm_crf(task, task.student),
  softmax_student: taggers.bilstm_softmax(task, task.student),
  teacher(own=$.all, tagger=taggers.bilstm_crf(task, task.teacher)):
    runs.baseline(own { epochs: own.teacher_epochs }, tagger) + alike,

  local row(name, config) = {
    name: name,
    config: config + alike,
    seeds: [1, 2, 3, 4, 5],
  },
  alone(name, own=$.all, tagger=$.student):
    row(name, runs.baseline(own, tagger)),
  distilled(name, objective, own=$.all, teachers='ensemble', tagger=$.student):
    row(name, runs.distillation(own, objective, tagger) + std.get(own, 'changes', {}))
    + { teachers: teachers },

  contrast(row, against): {
    name: '%s rather than %s' % [row, against],
    rows: [row],
    against: [against],
  },
  // All sequences of these teachers, and the control.
  students(name, text, teachers): {
    local control = name + '_pseudo_labels',
    local main = name + '_structural',
    rows: [
      $.distilled(control, pseudo_labels, text, teachers),
      $.distilled(main, structural, text, teachers),
    ],
    contrasts: [
      $.contrast(control, 'baseline'),
      $.contrast(main, 'baseline'),
      $.contrast(main, control),
    ],
  },

  head(labels=$.all): {
    title: task.title,
    description: task.description,
    metric: if task.label_encoding == null then 'accuracy' else 'f1-measure',
    test: { [l]: std.strReplace(task.test, '{language}', l) for l in task.languages },
    zero_shot: task.zero_shot,
    teachers: { ensemble: { config: $.teacher(labels), members: task.members, seeds: teachers_seeds } },
  },
};

{
  // `task` is one of tasks.libsonnet with title, description, test (a pattern), zero_shot (files by language),
  // student (its size), members (of an ensemble), teacher_epochs, raw (files of raw text, a pattern), text
  // (how many sentences of it in each language) and text_languages (beside those trained on); encoder_raw, if
  // there is more raw text for students that an encoder teaches; encoder_members, if it is fine-tuned so many
  // times; samples, if there are students that read so many sentences in each language that are sampled from
  // n-grams of the labelled ones; few_labels_fold, if the first tenth of the labelled sentences is development
  // data.
  //
  // These rows answer the question. `ablations` has them and all others; `encoders` those that an encoder
  // teaches as well; `few_labels` and `few_labels_encoders`, by percentage, are the same where everybody has
  // that part of the labels.
  suite(task):
    local own = parts(task);
    local text = own.with_text(own.all);
    local main(labels) =
      local students = own.students('text', own.with_text(labels), 'ensemble');
      own.head(labels) + {
        rows: [own.alone('baseline', labels)] + students.rows,
        baseline: 'baseline',
        contrasts: students.contrasts,
      };
    // Beside the others, an encoder that was pre-trained on raw text (docs/pretraining.md) and fine-tuned on the
    // same labels is a teacher.
    local with_encoder(encoder, labels) =
      local raw = std.get(task, 'encoder_raw', []);
      local students = own.students('text_encoder', own.with_text(labels, raw), ['ensemble', 'encoder']);
      {
        description: super.description + ' In rows with `encoder`, an encoder that was pre-trained on raw text and fine-tuned%s on the same labels teaches beside the ensemble%s.' % [
          if 'encoder_members' in task then ' %d times, with different seeds,' % task.encoder_members else '',
          if raw == [] then '' else
            ', and students also read up to %d sentences in each language of what it was pre-trained on' % task.text,
        ],
        teachers+: {
          encoder: {
            config: own.teacher(labels.fine_tuned, taggers.transformer_crf(labels.fine_tuned, encoder)),
            [if 'encoder_members' in task then 'members']: task.encoder_members,
            seeds: teachers_seeds,
          },
        },
        rows+: students.rows,
        // Where they differ in nothing but teachers.
        contrasts+: students.contrasts + (
          if raw == [] then [own.contrast('text_encoder_structural', 'text_structural')] else []
        ),
        needs: {
          [encoder]: 'pre-train it (docs/pretraining.md), or give another ENCODER',
        },
      };

    local others = [
      // Not starved of steps: the best of three times as many epochs.
      own.alone('baseline_long', own.all { epochs: 3 * task.epochs }),
      own.alone('softmax', tagger=own.softmax_student),

      // On labelled text alone.
      own.distilled('token_kd', { type: 'emission' }, teachers='softmax', tagger=own.softmax_student),
      own.distilled('emission', { type: 'emission' }),
      own.distilled('top_k', top_k(1)),
      own.distilled('weighted_top_k', weighted_top_k(10)),
      own.distilled('posterior', posterior),
      own.distilled('structural', structural),
      own.distilled(
        'posterior_weighted_top_k', { type: 'sum', objectives: [posterior, weighted_top_k(10)] }
      ),
      own.distilled('cross_fitted', structural, teachers='cross_fitted'),

      // With raw text.
      own.distilled('text_weighted_top_k', weighted_top_k(10), text),
      own.distilled('text_posterior', posterior, text),
      own.distilled('text_one_teacher', structural, text, teachers='ensemble/1'),
      own.distilled('text_monolingual', structural, text, teachers='monolingual'),
    ] + (
      if task.text_languages == [] then [] else [
        own.distilled('text_zero_shot', structural, own.with_text(own.all, [
          '%s=data/text/%s.txt' % [l, l]
          for l in task.text_languages
        ])),
      ]
    );
    main(own.all) + {
      ablations:: main(own.all) + {
        title: super.title + ', ablations',
        teachers+: {
          softmax: {
            config: own.teacher(tagger=taggers.bilstm_softmax(task, task.teacher)),
            seeds: teachers_seeds,
          },
          cross_fitted: {
            config: { folds: [own.teacher(own.all_but(i, 3)) for i in [1, 2, 3]] },
            seeds: teachers_seeds,
          },
          monolingual: {
            by_language: { [l]: own.teacher(own.all { languages: [l] }) for l in task.languages },
            seeds: teachers_seeds,
          },
        },
        rows+: with_three_seeds(others),
        contrasts+: [own.contrast(row.name, 'baseline') for row in others] + [
          own.contrast('text_posterior', 'text_pseudo_labels'),
          own.contrast('text_structural', 'structural'),
        ],
      },
      encoders(encoder):: main(own.all) + with_encoder(encoder, own.all) + if !('samples' in task) then {} else {
        local students = own.students('samples_encoder', own.with_samples(own.all), ['ensemble', 'encoder']),
        description: super.description + ' In rows with `samples`, students read no raw text, but sentences that are sampled from n-grams of the labelled ones.',
        rows+: students.rows,
        contrasts+: students.contrasts + [
          own.contrast('samples_encoder_structural', 'text_encoder_structural'),
        ],
      },
      // How much k matters, on labelled text alone: the k best sequences, alike or weighted.
      sequences:: own.head() + {
        title: 'The number of sequences k, on ' + super.title,
        description: 'Students that learn from the k best sequences of an ensemble on the labelled sentences, each of which counts the same (top_k) or by its probability (weighted_top_k).',
        rows: with_three_seeds([own.alone('baseline')] + [
          own.distilled('%s_%d' % [make(k).type, k], make(k))
          for make in [top_k, weighted_top_k]
          for k in [1, 2, 5, 10, 20, 50]
        ]),
        baseline: 'baseline',
      },
      local few(percentage) = main(own[percentage]) + {
        title: '%s, %s%% of the labels' % [super.title, percentage],
        description: 'Everybody, teachers too, has %s%% of the labels; students with text have as much text as they have beside all labels. Epochs are chosen as there.' % percentage,
      },
      // Differences are larger than with all labels.
      local each(make) = {
        [percentage]: make(percentage) + { rows: with_three_seeds(super.rows) }
        for percentage in ['10', '1']
      },
      few_labels:: each(few),
      few_labels_encoders(encoder):: each(function(percentage)
        local labels = own[percentage];
        local students = own.students('rest_encoder', own.with_rest(labels), ['ensemble', 'encoder']);
        few(percentage) + with_encoder(encoder, labels) + {
          description: super.description + ' In rows with `rest`, they read no raw text, but the labelled sentences whose labels nobody has.',
          rows+: students.rows,
          contrasts+: students.contrasts + [
            own.contrast('rest_encoder_structural', 'text_encoder_structural'),
          ],
        }),
    },

  // A student with a sixth of a teacher's units, so that there is a gap to close.
  small: { words: 32, characters: 16, filters: 24, hidden: 32, dropout: 0.2 },
}
