// A task's comparison with one teacher more: an encoder that was pre-trained on raw text, and fine-tuned on the
// labels that everybody has. What the task's own suite has run in the same directory is not run again.
//
// TASK is wikiann, ud, conll2002 or aspect. ENCODER is the directory of a pre-trained encoder, whose learning rates
// are those of one of a few million parameters.
//
//   TASK=conll2002 ENCODER=out/pretraining/small/teacher/transformer allennlp distillation-suite training_configs/suites/encoders.jsonnet -s out/suites/conll2002 --jobs 2 --include-package structkd_allennlp

local comparisons = import 'comparisons.libsonnet';

comparisons[std.extVar('TASK')].encoders(std.extVar('ENCODER'))
