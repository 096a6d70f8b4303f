// A task's comparison with a tenth and with a hundredth of the labels.
//
// TASK is wikiann, ud, conll2002 or aspect.
//
//   TASK=wikiann allennlp distillation-suite training_configs/suites/few_labels.jsonnet -s out/suites/few_labels/wikiann --jobs 2 --include-package structkd_allennlp

local tasks = {
  wikiann: import 'wikiann.jsonnet',
  ud: import 'ud.jsonnet',
  conll2002: import 'conll2002.jsonnet',
  aspect: import 'aspect.jsonnet',
};

tasks[std.extVar('TASK')].few_labels
