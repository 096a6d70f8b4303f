// The main job on the fixtures: an English and a Spanish named-entity tagger distilled into one
// student through their posteriors (Wang et al., 2020), in under two minutes on two cores.
//
//   allennlp train training_configs/posterior_kd.jsonnet -s out/posterior_kd --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

runs.posterior_kd(tasks.fixtures)
