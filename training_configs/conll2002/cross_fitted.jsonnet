// CoNLL-2002 named entities. posterior_kd.jsonnet with teachers that have not seen the sentence they teach.
//
//   allennlp train training_configs/conll2002/cross_fitted.jsonnet -s out/conll2002/cross_fitted --include-package structkd_allennlp
//
// The teachers of a language are trained, each without one fifth of its data, by
//
//   allennlp train-folds training_configs/conll2002/teacher.jsonnet -s out/conll2002/folds/es --folds 5 --include-package structkd_allennlp
//
// and with --overrides as in teacher.jsonnet for the other languages.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.cross_fitted(tasks.conll2002)
