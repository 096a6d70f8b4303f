// A teacher of one language, with the settings of Wang et al. (2020): multilingual BERT, words and
// characters, all frozen that is pre-trained, under a BiLSTM of 256 units and a CRF. It takes a GPU
// and a network. What differs from the paper: AllenNLP has no Flair embeddings, and a CNN over
// characters stands in their place; of BERT it takes a mix of all layers, and means of sub-words.
//
// The paper's word vectors are those of fastText. With cc.nl.300.vec.gz of fasttext.cc add
//   --overrides '{"model.text_field_embedder.token_embedders.words.pretrained_file": "cc.nl.300.vec.gz", "model.text_field_embedder.token_embedders.words.trainable": false}'
//
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/teacher.jsonnet -s out/paper/conll2002/teachers/es
//   TASK=conll2002 ENCODER=bert-base-multilingual-cased allennlp train training_configs/paper/teacher.jsonnet -s out/paper/conll2002/teachers/nl --overrides '{"dataset_reader.languages": ["nl"]}'

local paper = import '../lib/paper.libsonnet';
local runs = import '../lib/runs.libsonnet';
local taggers = import '../lib/taggers.libsonnet';

local task = paper.task(std.extVar('TASK'));
local embeddings = taggers.transformer_bilstm_crf(task, std.extVar('ENCODER'), task.teacher);

runs.teacher(task, embeddings) + paper.sgd
