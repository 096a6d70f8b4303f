// A small student on a frozen transformer: a BiLSTM and a CRF, trained on the gold tags alone. For TASK
// and ENCODER see baseline.jsonnet.
//
//   TASK=fixtures ENCODER=fixtures/tiny_mbert allennlp train training_configs/transformer/frozen.jsonnet -s out/fixtures/frozen_transformer

local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks[std.extVar('TASK')];
local size = task.student { words: 0, filters: 0 };

runs.baseline(task, taggers.transformer_bilstm_crf(task, std.extVar('ENCODER'), size))
