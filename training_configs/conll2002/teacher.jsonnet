// A large named-entity tagger of Spanish, or of Dutch. The student looks for them in
// out/conll2002/teachers/LANGUAGE. The last two commands make one of both, for unlabelled.jsonnet, and two, each of
// which has not seen one half of the Spanish sentences: cross-fitted teachers, for posterior_kd.jsonnet.
//
//   allennlp train training_configs/conll2002/teacher.jsonnet -s out/conll2002/teachers/es
//   allennlp train training_configs/conll2002/teacher.jsonnet -s out/conll2002/teachers/nl --overrides '{"dataset_reader.languages": ["nl"]}'
//   allennlp train training_configs/conll2002/teacher.jsonnet -s out/conll2002/teachers/all --overrides '{"dataset_reader.languages": ["es", "nl"]}'
//   allennlp train-folds training_configs/conll2002/teacher.jsonnet -s out/conll2002/folds/es --folds 2

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.conll2002)
