// SemEval-2016 aspect terms. One small tagger of all languages, by the posteriors of the teachers.
//
//   allennlp train training_configs/aspect/posterior_kd.jsonnet -s out/aspect/posterior_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_kd(tasks.aspect)
