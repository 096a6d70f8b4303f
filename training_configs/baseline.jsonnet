// The baseline on the fixtures: the student of posterior_kd.jsonnet, trained on the gold tags alone.
//
//   allennlp train training_configs/baseline.jsonnet -s out/baseline --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.baseline(tasks.fixtures)
