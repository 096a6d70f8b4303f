// WikiAnn named entities. The student, by the teachers' best sequence.
//
//   allennlp train training_configs/wikiann/top_k_kd.jsonnet -s out/wikiann/top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.top_k_kd(tasks.wikiann)
