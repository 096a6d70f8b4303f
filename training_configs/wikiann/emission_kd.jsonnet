// WikiAnn named entities. The student, by the emission scores of the teachers.
//
//   allennlp train training_configs/wikiann/emission_kd.jsonnet -s out/wikiann/emission_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.emission_kd(tasks.wikiann)
