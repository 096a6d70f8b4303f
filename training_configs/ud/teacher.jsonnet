// A large part-of-speech tagger of one language: English, or what an override says. The student looks
// for it in out/ud/teachers/LANGUAGE. The last command makes one of all languages, for unlabelled.jsonnet.
//
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/en
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/fr --overrides '{"dataset_reader.languages": ["fr"]}'
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/it --overrides '{"dataset_reader.languages": ["it"]}'
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/sv --overrides '{"dataset_reader.languages": ["sv"]}'
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/all --overrides '{"dataset_reader.languages": ["en", "fr", "it", "sv"]}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.ud)
