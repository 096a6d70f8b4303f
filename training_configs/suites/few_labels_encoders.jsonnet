// A task's comparison where everybody has fewer labels, with an encoder among the teachers, and students that
// read the rest of the labelled sentences without their labels. What few_labels.jsonnet has run in the same
// directory is not run again.
//
// TASK is wikiann, ud, conll2002 or aspect; PERCENTAGE, of the labels, is 10 or 1. ENCODER is as in encoders.jsonnet.
//
//   TASK=aspect PERCENTAGE=10 ENCODER=out/pretraining/small/teacher/transformer allennlp distillation-suite training_configs/suites/few_labels_encoders.jsonnet -s out/suites/few_labels/aspect_10 --jobs 2 --include-package structkd_allennlp

local comparisons = import 'comparisons.libsonnet';

comparisons[std.extVar('TASK')].few_labels_encoders(std.extVar('ENCODER'))[std.extVar('PERCENTAGE')]
