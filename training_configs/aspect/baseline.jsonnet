// SemEval-2016 aspect terms. The baseline: the student of the distillation runs, trained on the gold tags alone.
//
//   allennlp train training_configs/aspect/baseline.jsonnet -s out/aspect/baseline --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.aspect)
