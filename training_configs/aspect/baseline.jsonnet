// The student of posterior_kd.jsonnet, trained on the marked targets of five languages alone. A tenth of
// the training sentences takes the place of development data, which the task does not have.
//
//   allennlp train training_configs/aspect/baseline.jsonnet -s out/aspect/baseline

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.aspect)
