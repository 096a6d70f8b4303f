// The student of baseline.jsonnet, distilled from the teachers of its task. One teacher for all
// languages, whatever it is made of:
//   --overrides '{"model.teachers": "out/fixtures/transformer_teacher/model.tar.gz"}'
//
//   TASK=fixtures ENCODER=fixtures/tiny_mbert allennlp train training_configs/transformer/posterior_kd.jsonnet -s out/fixtures/transformer_posterior_kd

local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks[std.extVar('TASK')] { epochs: self.fine_tuning.epochs };
local student = taggers.transformer_crf(task, std.extVar('ENCODER'));

runs.distillation(task, { type: 'posterior' }, student)
