// The student of fine_tuned_posterior_kd.jsonnet, trained on the gold tags alone.
//
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/fine_tuned_baseline.jsonnet -s out/paper/conll2002/fine_tuned_baseline

local paper = import '../lib/paper.libsonnet';
local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local task = paper.task(std.extVar('TASK')) { epochs: self.fine_tuning.epochs };

runs.baseline(task, taggers.transformer_crf(task, std.extVar('ENCODER')))
