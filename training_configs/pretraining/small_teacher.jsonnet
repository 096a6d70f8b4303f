// A multilingual encoder, pre-trained from scratch as a masked language model on two thirds of
// data/text: 45 minutes of one core. docs/pretraining.md has the command that trains the tokenizer first.
//
//   allennlp train training_configs/pretraining/small_teacher.jsonnet -s out/pretraining/small/teacher --include-package structkd_allennlp

local pretraining = import '../lib/pretraining.libsonnet';

local task = pretraining.small;
pretraining.alone(task, task.teacher)
