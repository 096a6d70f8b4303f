// CoNLL-2002 named entities. The student, by the exact cross-entropy of the teachers' distributions.
//
//   allennlp train training_configs/conll2002/structural_kd.jsonnet -s out/conll2002/structural_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.structural_kd(tasks.conll2002)
