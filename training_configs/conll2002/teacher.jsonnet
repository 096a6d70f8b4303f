// CoNLL-2002 named entities. A large tagger of one language, here es.
//
//   allennlp train training_configs/conll2002/teacher.jsonnet -s out/conll2002/teachers/es --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["nl"]}' and change the
// directory: the distillation runs look for their teachers in out/conll2002/teachers/LANGUAGE.

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.teacher(tasks.conll2002)
