// A fine-tuned transformer with a CRF, trained on the gold tags alone. TASK is one of
// lib/tasks.libsonnet (fixtures, ud, wikiann, conll2002, aspect); ENCODER is the directory of a
// transformer, or, with a network, a name such as bert-base-multilingual-cased. One language alone:
//   --overrides '{"dataset_reader.languages": ["en"]}'
//
//   TASK=fixtures ENCODER=fixtures/tiny_mbert allennlp train training_configs/transformer/baseline.jsonnet -s out/fixtures/transformer

local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks[std.extVar('TASK')] { epochs: self.fine_tuning.epochs };

runs.baseline(task, taggers.transformer_crf(task, std.extVar('ENCODER')))
