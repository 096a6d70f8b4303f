// Is a small multilingual encoder better distilled while it is pre-trained or while it is fine-tuned, and
// by a teacher larger than itself or by one of its own size? (Soltan et al., 2021.) Encoders distilled in
// either, in both and in neither are fine-tuned on English alone, and scored in English and, zero-shot, in
// all other languages.
//
// TASK is fixtures, ud or wikiann. ENCODER is the directory of the pre-trained encoders; what of it is not
// there, the suite says how to make (see docs/pretraining.md).
//
//   TASK=fixtures ENCODER=out/pretraining/fixtures allennlp distillation-suite training_configs/studies/pretraining.jsonnet -s out/suites/pretraining/fixtures --jobs 2

local runs = import '../lib/runs.libsonnet';
local studies = import '../lib/studies.libsonnet';

local directory = std.extVar('ENCODER');
local encoder(name) = '%s/%s/transformer' % [directory, name];
local base = studies[std.extVar('TASK')];
local task = studies.fine_tuned(studies.on(base { part: base.english_part }, '100')) {
  languages: ['en'],
  test: { en: base.all_tests.en },
  zero_shot: base.zero_shot + {
    [language]: base.all_tests[language]
    for language in std.objectFields(base.all_tests)
    if language != 'en'
  },
};
local tagger(name) = studies.transformer(task, encoder(name));

// Students by their teacher. The encoder "alone" has the student's size and no teacher, and is the small
// teacher.
local student_of = { teacher: 'student', alone: 'student_of_alone' };
local alone(name, encoder) =
  { name: name, config: runs.baseline(task, tagger(encoder)), seeds: task.seeds };
local distilled(name, encoder, teacher) = {
  name: name,
  config: runs.distillation(task, { type: 'posterior' }, tagger(encoder)),
  teachers: teacher,
  seeds: task.seeds,
};

studies.suite(
  task,
  'Distilled in pre-training or in fine-tuning',
  'Encoders of one size, distilled by a teacher while they are pre-trained, while they are fine-tuned, in
both and in neither; by a larger teacher and by one of their own size. All fine-tuning is on English alone.'
) + {
  teachers: {
    [name]: { config: runs.baseline(task, tagger(name)), seeds: task.seeds }
    for name in std.objectFields(student_of)
  },
  rows: [
    alone('neither', 'alone'),
    alone('pretraining', student_of.teacher),
    distilled('finetuning', 'alone', 'teacher'),
    distilled('both', student_of.teacher, 'teacher'),
    alone('pretraining_small', student_of.alone),
    distilled('finetuning_small', 'alone', 'alone'),
    distilled('both_small', student_of.alone, 'alone'),
  ],
  baseline: 'neither',
  contrasts: [
    {
      name: 'distilled in pre-training',
      rows: ['pretraining', 'both'],
      against: ['neither', 'finetuning'],
    },
    {
      name: 'distilled in fine-tuning',
      rows: ['finetuning', 'both'],
      against: ['neither', 'pretraining'],
    },
    { name: 'pre-training rather than fine-tuning', rows: ['pretraining'], against: ['finetuning'] },
    {
      name: 'larger teacher',
      rows: ['pretraining', 'finetuning', 'both'],
      against: ['pretraining_small', 'finetuning_small', 'both_small'],
    },
  ],
  needs: std.foldl(
    function(needs, name) needs + studies.pretrained(encoder(name)),
    ['teacher', 'alone', 'student', 'student_of_alone'],
    {}
  ),
}
