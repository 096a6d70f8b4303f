// A smaller encoder, distilled from that of small_teacher.jsonnet while it is pre-trained. The same
// without a teacher:
//   --overrides '{"model.teacher": null, "model.hidden_states": null}'
//
//   allennlp train training_configs/pretraining/small_student.jsonnet -s out/pretraining/small/student --include-package structkd_allennlp

local pretraining = import '../lib/pretraining.libsonnet';

pretraining.distilled(pretraining.small)
