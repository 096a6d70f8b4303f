// UD part-of-speech tags. The student without transitions, by the token distributions of softmax_teacher.jsonnet.
//
//   allennlp train training_configs/ud/token_kd.jsonnet -s out/ud/token_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.token_kd(tasks.ud)
