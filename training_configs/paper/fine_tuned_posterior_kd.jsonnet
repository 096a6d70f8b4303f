// The fine-tuned student of Wang et al. (2020): multilingual BERT and a CRF, distilled from the teachers
// of teacher.jsonnet, with learning rates of 5e-5 for BERT and 0.5 for the transitions; lambda falls over
// all ten epochs, as in the released code.
//
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/fine_tuned_posterior_kd.jsonnet -s out/paper/conll2002/fine_tuned_posterior_kd

local paper = import '../lib/paper.libsonnet';
local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local task = paper.task(std.extVar('TASK')) { epochs: self.fine_tuning.epochs };

runs.distillation(
  task, { type: 'posterior' }, taggers.transformer_crf(task, std.extVar('ENCODER'))
)
