// CoNLL-2002 named entities. The student without transitions, by the token distributions of softmax_teacher.jsonnet.
//
//   allennlp train training_configs/conll2002/token_kd.jsonnet -s out/conll2002/token_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.token_kd(tasks.conll2002)
