// SemEval-2016 aspect terms. The student without transitions, trained on the gold tags alone.
//
//   allennlp train training_configs/aspect/softmax_student.jsonnet -s out/aspect/softmax_student --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.softmax_student(tasks.aspect)
