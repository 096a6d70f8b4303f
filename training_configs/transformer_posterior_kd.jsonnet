// posterior_kd.jsonnet with a fine-tuned transformer as the student. fixtures/tiny_mbert is a tiny
// multilingual BERT with random weights, there to show that everything runs: put the directory of a
// real one, and its hidden size, in its place.
//
//   allennlp train training_configs/transformer_posterior_kd.jsonnet -s out/transformer_posterior_kd --include-package structkd_allennlp

local runs = import 'lib/runs.libsonnet';
local taggers = import 'lib/taggers.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

local task = tasks.fixtures;
local student = taggers.transformer_crf(task, 'fixtures/tiny_mbert', 32);

runs.distillation(task, { type: 'posterior' }, student) + {
  trainer+: {
    optimizer: {
      type: 'huggingface_adamw',
      lr: 5e-5,
      weight_decay: 0.01,
      // A fine-tuned encoder wants small steps, the layer on top of it larger ones, and transitions,
      // which start from noise, far larger ones (Wang et al., 2020: 5e-5 against 0.5).
      parameter_groups: [
        [['text_field_embedder'], { lr: 5e-4 }],
        [['tag_projection_layer'], { lr: 1e-2 }],
        [['crf\\.'], { lr: 5e-2, weight_decay: 0.0 }],
      ],
    },
  },
}
