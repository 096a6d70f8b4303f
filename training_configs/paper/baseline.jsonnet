// The student of posterior_kd.jsonnet, trained on the gold tags alone.
//
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/baseline.jsonnet -s out/paper/conll2002/baseline

local paper = import '../lib/paper.libsonnet';
local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local task = paper.task(std.extVar('TASK'));

runs.baseline(
  task, taggers.transformer_bilstm_crf(task, std.extVar('ENCODER'), task.student)
) + paper.sgd
