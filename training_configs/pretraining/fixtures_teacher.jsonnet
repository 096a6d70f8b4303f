// A multilingual encoder, pre-trained from scratch as a masked language model on the fixtures: seconds on two cores.
// docs/pretraining.md has the command that trains the tokenizer first.
//
//   allennlp train training_configs/pretraining/fixtures_teacher.jsonnet -s out/pretraining/fixtures/teacher --include-package structkd_allennlp

local pretraining = import '../lib/pretraining.libsonnet';

local task = pretraining.fixtures;
pretraining.alone(task, task.teacher)
