// CoNLL-2002 named entities. posterior_kd.jsonnet with unlabelled text added, on which only the distillation loss counts.
//
//   allennlp train training_configs/conll2002/unlabelled.jsonnet -s out/conll2002/unlabelled --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.unlabelled(tasks.conll2002)
