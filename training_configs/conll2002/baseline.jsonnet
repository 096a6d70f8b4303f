// The student of posterior_kd.jsonnet, trained on the gold tags of both languages alone.
//
//   allennlp train training_configs/conll2002/baseline.jsonnet -s out/conll2002/baseline

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.conll2002)
