// SemEval-2016 aspect terms. A large tagger of one language without transitions, here en.
//
//   allennlp train training_configs/aspect/softmax_teacher.jsonnet -s out/aspect/softmax_teachers/en --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["es"]}' and change the
// directory: the distillation runs look for their teachers in out/aspect/softmax_teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.softmax_teacher(tasks.aspect)
