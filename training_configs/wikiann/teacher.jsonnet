// A large named-entity tagger of one language: German, or what an override says. The student looks for
// it in out/wikiann/teachers/LANGUAGE. The last command makes one of all languages, for unlabelled.jsonnet.
//
//   allennlp train training_configs/wikiann/teacher.jsonnet -s out/wikiann/teachers/de
//   allennlp train training_configs/wikiann/teacher.jsonnet -s out/wikiann/teachers/en --overrides '{"dataset_reader.languages": ["en"]}'
//   allennlp train training_configs/wikiann/teacher.jsonnet -s out/wikiann/teachers/nl --overrides '{"dataset_reader.languages": ["nl"]}'
//   allennlp train training_configs/wikiann/teacher.jsonnet -s out/wikiann/teachers/all --overrides '{"dataset_reader.languages": ["de", "en", "nl"]}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.wikiann)
