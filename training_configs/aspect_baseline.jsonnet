// SemEval-2016 aspect terms. The baseline: the student of aspect_posterior_kd.jsonnet, trained on the gold tags alone.
//
//   allennlp train training_configs/aspect_baseline.jsonnet -s out/aspect/baseline --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.baseline(tasks.aspect)
