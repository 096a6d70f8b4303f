// WikiAnn named entities. A teacher: a large tagger of one language, here de.
//
//   allennlp train training_configs/wikiann_teacher.jsonnet -s out/wikiann/teachers/de --include-package structkd_allennlp
//
// For another language add --overrides '{"dataset_reader.languages": ["en"]}' and change the directory.
// wikiann_posterior_kd.jsonnet looks for its teachers in out/wikiann/teachers/LANGUAGE.

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.teacher(tasks.wikiann)
