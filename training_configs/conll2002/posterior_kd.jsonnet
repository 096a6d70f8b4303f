// One small named-entity tagger of Spanish and Dutch, by the posteriors of both teachers, or of teachers
// that have not seen the sentence they teach (train-folds, in teacher.jsonnet).
//
//   allennlp train training_configs/conll2002/posterior_kd.jsonnet -s out/conll2002/posterior_kd
//   allennlp train training_configs/conll2002/posterior_kd.jsonnet -s out/conll2002/cross_fitted --overrides '{"model.teachers.es": {"folds": ["out/conll2002/folds/es/fold1/model.tar.gz", "out/conll2002/folds/es/fold2/model.tar.gz"]}}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.conll2002, { type: 'posterior' })
