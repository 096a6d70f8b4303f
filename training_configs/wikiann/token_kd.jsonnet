// WikiAnn named entities. The student without transitions, by the token distributions of softmax_teacher.jsonnet.
//
//   allennlp train training_configs/wikiann/token_kd.jsonnet -s out/wikiann/token_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.token_kd(tasks.wikiann)
