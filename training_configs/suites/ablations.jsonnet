// All rows of a task's comparison: those of its own file, labelled text alone, and other teachers and
// objectives. What the task's own suite has run in the same directory is not run again.
//
// TASK is wikiann, ud, conll2002 or aspect.
//
//   TASK=wikiann allennlp distillation-suite training_configs/suites/ablations.jsonnet -s out/suites/wikiann --jobs 2 --include-package structkd_allennlp

local comparisons = import 'comparisons.libsonnet';

comparisons[std.extVar('TASK')].ablations
