// SemEval-2016 aspect terms. The student, by the emission scores of the teachers.
//
//   allennlp train training_configs/aspect/emission_kd.jsonnet -s out/aspect/emission_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.emission_kd(tasks.aspect)
