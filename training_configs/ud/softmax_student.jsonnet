// UD part-of-speech tags. The student without transitions, trained on the gold tags alone.
//
//   allennlp train training_configs/ud/softmax_student.jsonnet -s out/ud/softmax_student --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.softmax_student(tasks.ud)
