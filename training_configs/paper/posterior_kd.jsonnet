// The student of Wang et al. (2020): multilingual BERT, frozen, under a BiLSTM of 600 units and a CRF,
// distilled from the teachers of teacher.jsonnet. The paper gives means of five runs. Its other
// objectives, and the temperature of its released code:
//   --overrides '{"model.objective": {"type": "emission"}}'
//   --overrides '{"model.objective": {"type": "top_k", "k": 1}}'
//   --overrides '{"model.objective": {"type": "weighted_top_k", "k": 10}}'
//   --overrides '{"model.objective": {"type": "sum", "objectives": [{"type": "posterior"}, {"type": "weighted_top_k", "k": 10}]}}'
//   --overrides '{"model.objective.temperature": 2.25}'
//
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/posterior_kd.jsonnet -s out/paper/conll2002/posterior_kd

local paper = import '../lib/paper.libsonnet';
local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local task = paper.task(std.extVar('TASK'));
local student = taggers.transformer_bilstm_crf(task, std.extVar('ENCODER'), task.student);

runs.distillation(task, { type: 'posterior' }, student) + paper.sgd + {
  // Lambda falls by a hundredth every epoch, as in the released code.
  model+: { interpolation+: { epochs: 100 } },
}
