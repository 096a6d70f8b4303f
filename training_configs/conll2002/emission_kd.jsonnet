// CoNLL-2002 named entities. The student, by the emission scores of the teachers.
//
//   allennlp train training_configs/conll2002/emission_kd.jsonnet -s out/conll2002/emission_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.emission_kd(tasks.conll2002)
