// What is a pre-trained encoder worth under a tagger? Those of docs/pretraining.md, fine-tuned, against a
// BiLSTM-CRF of a teacher's size with the same labels. Development data alone: what chooses the epoch, and
// what is scored.
//
// TASK is fixtures, ud, wikiann, conll2002 or aspect. ENCODER is the directory of the pre-trained encoders.
//
//   TASK=fixtures ENCODER=out/pretraining/fixtures allennlp distillation-suite training_configs/studies/encoders.jsonnet -s out/suites/encoders/fixtures --jobs 2

local runs = import '../lib/runs.libsonnet';
local studies = import '../lib/studies.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local directory = std.extVar('ENCODER');
local encoder(name) = '%s/%s/transformer' % [directory, name];
local encoders = ['teacher', 'student', 'alone'];
local task = studies.on(studies[std.extVar('TASK')], '100') {
  test: studies.by_language(self.unused_dev, self.languages),
  zero_shot: {},
};
local fine_tuned = studies.fine_tuned(task);
local row(name, task, tagger) = { name: name, config: runs.baseline(task, tagger), seeds: task.seeds };

studies.suite(
  task,
  'Encoders',
  'A BiLSTM-CRF of 200 units (bilstm), and pre-trained encoders that are fine-tuned: the larger one (teacher), the
smaller one, distilled from it (student) or not (alone), and the larger one beside words and characters,
under a BiLSTM (teacher_bilstm). All learn from the same labels, and are scored on development data.'
) + {
  rows: [row('bilstm', task { epochs: task.teacher_epochs }, taggers.bilstm_crf(task, task.teacher))]
        + [row(name, fine_tuned, studies.transformer(task, encoder(name))) for name in encoders]
        + [row(
          'teacher_bilstm',
          fine_tuned,
          taggers.transformer_bilstm_crf(task, encoder('teacher'), task.teacher, fine_tuned=true)
        )],
  baseline: 'bilstm',
  contrasts: [
    { name: '%s rather than bilstm' % name, rows: [name], against: ['bilstm'] }
    for name in encoders + ['teacher_bilstm']
  ] + [{ name: 'distilled in pre-training', rows: ['student'], against: ['alone'] }],
  needs: std.foldl(
    function(needs, name) needs + studies.pretrained(encoder(name)), encoders, {}
  ),
}
