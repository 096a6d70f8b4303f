// UD part-of-speech tags. A large tagger of one language, here en.
//
//   allennlp train training_configs/ud/teacher.jsonnet -s out/ud/teachers/en --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["fr"]}' and change the
// directory: the distillation runs look for their teachers in out/ud/teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.ud)
