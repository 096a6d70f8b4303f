// The student of posterior_kd.jsonnet, trained on the gold tags of four treebanks alone. Part-of-speech
// tags are no spans: there is no label encoding, and accuracy is what counts.
//
//   allennlp train training_configs/ud/baseline.jsonnet -s out/ud/baseline

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.baseline(tasks.ud)
