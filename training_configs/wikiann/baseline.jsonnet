// WikiAnn named entities. The baseline: the student of the distillation runs, trained on the gold tags alone.
//
//   allennlp train training_configs/wikiann/baseline.jsonnet -s out/wikiann/baseline --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.wikiann)
