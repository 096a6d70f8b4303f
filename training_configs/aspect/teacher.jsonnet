// SemEval-2016 aspect terms. A large tagger of one language, here en.
//
//   allennlp train training_configs/aspect/teacher.jsonnet -s out/aspect/teachers/en --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["es"]}' and change the
// directory: the distillation runs look for their teachers in out/aspect/teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.aspect)
