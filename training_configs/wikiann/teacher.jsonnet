// WikiAnn named entities. A large tagger of one language, here de.
//
//   allennlp train training_configs/wikiann/teacher.jsonnet -s out/wikiann/teachers/de --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["en"]}' and change the
// directory: the distillation runs look for their teachers in out/wikiann/teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.wikiann)
