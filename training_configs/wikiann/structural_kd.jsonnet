// WikiAnn named entities. The student, by the exact cross-entropy of the teachers' distributions.
//
//   allennlp train training_configs/wikiann/structural_kd.jsonnet -s out/wikiann/structural_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.structural_kd(tasks.wikiann)
