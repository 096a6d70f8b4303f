// How many sequences k it takes, in Top-K and in weighted Top-K distillation, on SemEval-2016 opinion targets.
//
//   allennlp distillation-suite training_configs/suites/sequences.jsonnet -s out/suites/sequences --jobs 2 --include-package structkd_allennlp

(import 'aspect.jsonnet').sequences
