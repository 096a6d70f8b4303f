// The student of posterior_kd.jsonnet, trained on the gold tags of 15,000 sentences alone.
//
//   allennlp train training_configs/wikiann/baseline.jsonnet -s out/wikiann/baseline

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.wikiann)
