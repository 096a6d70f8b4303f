// posterior_kd.jsonnet by the exact cross-entropy of whole tag sequences (Wang et al., 2021). BIO forbids
// some of these; teachers and student give them probability 0.
//
//   allennlp train training_configs/wikiann/structural_kd.jsonnet -s out/wikiann/structural_kd

(import 'posterior_kd.jsonnet') + { model+: { objective: { type: 'structural' } } }
