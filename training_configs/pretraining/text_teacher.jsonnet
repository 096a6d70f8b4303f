// A multilingual encoder, pre-trained from scratch as a masked language model on data/text: hours on two cores.
// docs/pretraining.md has the command that trains the tokenizer first.
//
//   allennlp train training_configs/pretraining/text_teacher.jsonnet -s out/pretraining/text/teacher --include-package structkd_allennlp

local pretraining = import '../lib/pretraining.libsonnet';

local task = pretraining.text;
pretraining.alone(task, task.teacher)
