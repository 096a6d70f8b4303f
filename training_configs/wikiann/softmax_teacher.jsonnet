// WikiAnn named entities. A large tagger of one language without transitions, here de.
//
//   allennlp train training_configs/wikiann/softmax_teacher.jsonnet -s out/wikiann/softmax_teachers/de --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["en"]}' and change the
// directory: the distillation runs look for their teachers in out/wikiann/softmax_teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.softmax_teacher(tasks.wikiann)
