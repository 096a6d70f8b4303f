// WikiAnn named entities. posterior_kd.jsonnet with the teachers of softmax_teacher.jsonnet, which are weaker.
//
//   allennlp train training_configs/wikiann/weaker_teachers.jsonnet -s out/wikiann/weaker_teachers --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.weaker_teachers(tasks.wikiann)
