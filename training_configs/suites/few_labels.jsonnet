// A task's comparison where everybody has fewer labels.
//
// TASK is wikiann, ud, conll2002 or aspect; PERCENTAGE, of the labels, is 10 or 1.
//
//   TASK=wikiann PERCENTAGE=10 allennlp distillation-suite training_configs/suites/few_labels.jsonnet -s out/suites/few_labels/wikiann_10 --jobs 2 --include-package structkd_allennlp

local comparisons = import 'comparisons.libsonnet';

comparisons[std.extVar('TASK')].few_labels[std.extVar('PERCENTAGE')]
