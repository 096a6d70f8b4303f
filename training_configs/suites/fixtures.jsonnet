// A suite on the fixtures, in under five minutes on two cores.
//
//   allennlp distillation-suite training_configs/suites/fixtures.jsonnet -s out/suites/fixtures --jobs 2 --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks.fixtures { epochs: 15 };
local test(language) = 'fixtures/conll/%s/test.txt' % language;
local teacher(language) = runs.teacher(task { languages: [language] });
local distilled(objective) = runs.distillation(task, { type: objective });
local seeds = [1, 2];

{
  title: 'Fixtures',
  description: 'A small suite on invented sentences. It shows that everything runs; its figures mean nothing.',
  metric: 'f1-measure',
  test: { [language]: test(language) for language in task.languages },
  zero_shot: { pt: test('pt') },
  teachers: { crf: { [language]: teacher(language) for language in task.languages } },
  rows: [
    { name: 'baseline', config: runs.baseline(task), seeds: seeds },
    { name: 'posterior', config: distilled('posterior'), teachers: 'crf', seeds: seeds },
    { name: 'structural', config: distilled('structural'), teachers: 'crf', seeds: seeds },
  ],
  baseline: 'baseline',
}
