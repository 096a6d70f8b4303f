// WikiAnn named entities. posterior_kd.jsonnet with unlabelled text added, on which only the distillation loss counts.
//
//   allennlp train training_configs/wikiann/unlabelled.jsonnet -s out/wikiann/unlabelled --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.unlabelled(tasks.wikiann)
