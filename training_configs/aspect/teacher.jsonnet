// A large tagger of opinion targets of one language: English, or what an override says. The student looks
// for it in out/aspect/teachers/LANGUAGE; it needs those of es, nl, ru and tr too. The last command makes one of
// all languages, for unlabelled.jsonnet.
//
//   allennlp train training_configs/aspect/teacher.jsonnet -s out/aspect/teachers/en
//   allennlp train training_configs/aspect/teacher.jsonnet -s out/aspect/teachers/tr --overrides '{"dataset_reader.languages": ["tr"]}'
//   allennlp train training_configs/aspect/teacher.jsonnet -s out/aspect/teachers/all --overrides '{"dataset_reader.languages": ["en", "es", "nl", "ru", "tr"]}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.aspect)
