// CoNLL-2002 named entities. The baseline: the student of the distillation runs, trained on the gold tags alone.
//
//   allennlp train training_configs/conll2002/baseline.jsonnet -s out/conll2002/baseline --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.conll2002)
