// SemEval-2016 aspect terms. posterior_kd.jsonnet with the teachers of softmax_teacher.jsonnet, which are weaker.
//
//   allennlp train training_configs/aspect/weaker_teachers.jsonnet -s out/aspect/weaker_teachers --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.weaker_teachers(tasks.aspect)
