// SemEval-2016 aspect terms. The student without transitions, by the token distributions of softmax_teacher.jsonnet.
//
//   allennlp train training_configs/aspect/token_kd.jsonnet -s out/aspect/token_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.token_kd(tasks.aspect)
