// posterior_kd.jsonnet by the exact cross-entropy of whole tag sequences (Wang et al., 2021), also of the
// one with 1,238 tokens.
//
//   allennlp train training_configs/conll2002/structural_kd.jsonnet -s out/conll2002/structural_kd

(import 'posterior_kd.jsonnet') + { model+: { objective: { type: 'structural' } } }
