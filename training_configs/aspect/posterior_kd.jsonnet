// One small tagger of opinion targets in five languages, by the posteriors of five teachers, or by their
// best sequences. suites/sequences.jsonnet compares several k.
//
//   allennlp train training_configs/aspect/posterior_kd.jsonnet -s out/aspect/posterior_kd
//   allennlp train training_configs/aspect/posterior_kd.jsonnet -s out/aspect/k5 --overrides '{"model.objective": {"type": "weighted_top_k", "k": 5}}'

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distillation(tasks.aspect, { type: 'posterior' })
