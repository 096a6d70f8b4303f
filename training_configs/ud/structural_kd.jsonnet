// posterior_kd.jsonnet by the exact cross-entropy of whole tag sequences (Wang et al., 2021).
// suites/ablations.jsonnet compares all objectives.
//
//   allennlp train training_configs/ud/structural_kd.jsonnet -s out/ud/structural_kd

(import 'posterior_kd.jsonnet') + { model+: { objective: { type: 'structural' } } }
