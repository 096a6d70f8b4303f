// Does a student of its teacher's size, on its teacher's labels, pass its teacher? Three generations,
// each the teacher of the next, seed by seed.
//
// TASK is fixtures, ud or wikiann. ENCODER is "none", for a BiLSTM, or the directory of a transformer.
//
//   TASK=fixtures ENCODER=none allennlp distillation-suite training_configs/studies/self_distillation.jsonnet -s out/suites/self_distillation/fixtures --jobs 2

local runs = import '../lib/runs.libsonnet';
local studies = import '../lib/studies.libsonnet';

local encoder = std.extVar('ENCODER');
local is_transformer = encoder != 'none';
local task = studies.on(studies[std.extVar('TASK')], '100');
local tagger =
  if is_transformer then studies.transformer(task, encoder) else studies.bilstm(task, 1);

local generation(i) = 'generation_%d' % i;
local contrast(name, i, j) = { name: name, rows: [generation(i)], against: [generation(j)] };

studies.suite(
  task,
  'Self-distillation',
  'Students of one size on the same labels. generation_0 learns from the labels alone, each other one also
from the one before it, with the same seed.'
) + {
  rows: [
    { name: generation(0), config: runs.baseline(task, tagger), seeds: task.seeds },
  ] + [
    {
      name: generation(i),
      config: runs.distillation(task, { type: 'posterior' }, tagger),
      teachers: generation(i - 1),
      seeds: task.seeds,
    }
    for i in [1, 2, 3]
  ],
  baseline: generation(0),
  contrasts: [contrast('generation %d' % i, i, 0) for i in [1, 2, 3]]
             + [contrast('generation %d rather than %d' % [i, i - 1], i, i - 1) for i in [2, 3]],
  needs: if is_transformer then studies.pretrained(encoder) else {},
}
