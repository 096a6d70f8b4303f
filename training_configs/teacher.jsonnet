// A teacher on the fixtures: a named-entity tagger of English, in under a minute on two cores.
//
//   allennlp train training_configs/teacher.jsonnet -s out/teacher --include-package structkd_allennlp
//
// For Spanish add --overrides '{"dataset_reader.languages": ["es"]}'. fixtures/teachers/ holds
// both, made by fixtures/make_teachers.sh.

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.teacher(tasks.fixtures)
