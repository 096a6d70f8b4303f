// posterior_kd.jsonnet by the exact cross-entropy of whole tag sequences (Wang et al., 2021).
//
//   allennlp train training_configs/aspect/structural_kd.jsonnet -s out/aspect/structural_kd

(import 'posterior_kd.jsonnet') + { model+: { objective: { type: 'structural' } } }
