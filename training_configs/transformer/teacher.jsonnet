// One teacher of all languages of a task: a fine-tuned transformer beside a CNN over characters, under
// a BiLSTM and a CRF. For TASK and ENCODER see baseline.jsonnet.
//
//   TASK=fixtures ENCODER=fixtures/tiny_mbert allennlp train training_configs/transformer/teacher.jsonnet -s out/fixtures/transformer_teacher

local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

local task = tasks[std.extVar('TASK')] { epochs: self.fine_tuning.epochs };
local size = task.teacher { words: 0 };

runs.baseline(
  task, taggers.transformer_bilstm_crf(task, std.extVar('ENCODER'), size, fine_tuned=true)
)
