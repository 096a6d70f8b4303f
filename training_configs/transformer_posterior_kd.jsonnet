// posterior_kd.jsonnet with a fine-tuned transformer as the student. fixtures/tiny_mbert is a tiny
// multilingual BERT with random weights, there to show that everything runs: for a real one, see
// transformer/posterior_kd.jsonnet.
//
//   allennlp train training_configs/transformer_posterior_kd.jsonnet -s out/transformer_posterior_kd --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local taggers = import 'lib/taggers.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

local task = tasks.fixtures;

runs.distillation(task, { type: 'posterior' }, taggers.transformer_crf(task, 'fixtures/tiny_mbert'))
