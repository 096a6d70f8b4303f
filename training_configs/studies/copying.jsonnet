// Does a student that starts from its teacher's weights gain more than one that learns from the
// teacher's scores, most of all with few labels? ("The Privileged Students", 2024.) A random or a copied
// start, with distillation or without, on 100%, 10% and 1% of the labels. The teacher has seen all.
//
// TASK is fixtures, ud or wikiann. ENCODER is "none", for a BiLSTM of two layers as the teacher and of
// one as the student, or the directory of a transformer, of which the student gets every second layer.
//
//   TASK=fixtures ENCODER=none allennlp distillation-suite training_configs/studies/copying.jsonnet -s out/suites/copying/fixtures --jobs 2

local runs = import '../lib/runs.libsonnet';
local studies = import '../lib/studies.libsonnet';

local encoder = std.extVar('ENCODER');
local is_transformer = encoder != 'none';
local task = studies[std.extVar('TASK')];
local percentages = [p for p in ['100', '10', '1'] if p in task.labels];
local few = percentages[1:];

local teacher =
  if is_transformer then studies.transformer(task, encoder) else studies.bilstm(task, 2);
local student =
  if is_transformer then studies.half_transformer(task, encoder) else studies.bilstm(task, 1);

// Without a source it is the suite that says where to copy from.
local copied(source={}) = student + {
  tagger+: {
    initializer: {
      regexes: [[
        '.*', { type: 'copied', [if is_transformer then 'layers']: 'every_second' } + source,
      ]],
    },
  },
};
local starts = {
  random: student,
  copied: copied(),
  // What the pre-trained transformer gives by itself.
  encoder: copied({ source: encoder }),
};
local names = ['random', 'copied'] + (if is_transformer then ['encoder'] else []);

local row(name, start, config) = {
  name: name,
  config: config,
  seeds: task.seeds,
  [if start == 'copied' then 'initialize_from']: 'teacher',
};
local alone(start, p) = row(
  '%s_%s' % [start, p],
  start,
  runs.baseline(studies.on(task, p), starts[start]) + studies.one_vocabulary(task)
);
local distilled(name, start, p) = row(
  '%s_%s_%s' % [start, name, p],
  start,
  runs.distillation(studies.on(task, p), { type: 'posterior' }, starts[start])
  + studies.one_vocabulary(task)
) + { teachers: 'teacher' };
local kd(start, p) = distilled('kd', start, p);
// An epoch is as long as one on all labels, so there are as many.
local text(start, p) = distilled('text', start, p) + {
  config+: studies.with_text(task, p) + {
    local all = distilled('text', start, '100').config,
    data_loader: all.data_loader,
    model+: { interpolation: all.model.interpolation },
    trainer: all.trainer,
  },
};
local own_vocabulary(p) = row(
  'random_own_vocabulary_%s' % p,
  'random',
  runs.baseline(studies.on(task, p), student) + {
    vocabulary+: { tokens_to_add: { labels: task.tags } },
  }
);

local contrast(name, p, rows, against) = {
  name: '%s, %s%%' % [name, p],
  rows: ['%s_%s' % [row, p] for row in rows],
  against: ['%s_%s' % [row, p] for row in against],
};

studies.suite(
  task,
  'A copied start',
  'A random start or one copied from the teacher, with distillation (kd: posterior, on the labelled
sentences; text: also on all other sentences, without labels) and without, on a percentage of the labels.
The teacher has seen all labels. All students have the same parameters, but for random_own_vocabulary,
which knows only the words of its labelled sentences.'
) + {
  teachers: {
    teacher: {
      config: runs.baseline(studies.on(task, '100') { epochs: task.teacher_epochs }, teacher)
              + studies.one_vocabulary(task),
      seeds: task.seeds,
    },
  },
  rows: [make(start, p) for p in percentages for start in names for make in [alone, kd]]
        + [text(start, few[0]) for start in ['random', 'copied']]
        + (if is_transformer then [] else [own_vocabulary(p) for p in few]),
  baseline: 'random_100',
  contrasts: std.flattenArrays([
    [
      contrast('copying', p, ['copied', 'copied_kd'], ['random', 'random_kd']),
      contrast('distillation', p, ['random_kd', 'copied_kd'], ['random', 'copied']),
      contrast('copying rather than distillation', p, ['copied'], ['random_kd']),
    ]
    for p in percentages
  ]) + [
    contrast('text', few[0], ['random_text', 'copied_text'], ['random_kd', 'copied_kd']),
    contrast('text rather than copying', few[0], ['random_text'], ['copied']),
    contrast('copying beside text', few[0], ['copied_text'], ['random_text']),
  ] + (
    if is_transformer then [
      contrast('copying rather than the encoder', p, ['copied', 'copied_kd'], ['encoder', 'encoder_kd'])
      for p in percentages
    ] else [
      contrast('copying rather than own vocabulary', p, ['copied'], ['random_own_vocabulary'])
      for p in few
    ]
  ),
  needs: if is_transformer then studies.pretrained(encoder) else {},
}
