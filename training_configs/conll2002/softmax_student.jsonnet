// CoNLL-2002 named entities. The student without transitions, trained on the gold tags alone.
//
//   allennlp train training_configs/conll2002/softmax_student.jsonnet -s out/conll2002/softmax_student --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.softmax_student(tasks.conll2002)
