// SemEval-2016 aspect terms. posterior_kd.jsonnet with teachers that have not seen the sentence they teach.
//
//   allennlp train training_configs/aspect/cross_fitted.jsonnet -s out/aspect/cross_fitted --include-package structkd_allennlp
//
// The teachers of a language are trained, each without one fifth of its data, by
//
//   allennlp train-folds training_configs/aspect/teacher.jsonnet -s out/aspect/folds/en --folds 5 --include-package structkd_allennlp
//
// and with --overrides as in teacher.jsonnet for the other languages.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.cross_fitted(tasks.aspect)
