// CoNLL-2002 named entities. The student, by posteriors and weighted 10 best sequences.
//
//   allennlp train training_configs/conll2002/posterior_weighted_top_k_kd.jsonnet -s out/conll2002/posterior_weighted_top_k_kd --include-package structkd_allennlp

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.posterior_weighted_top_k_kd(tasks.conll2002)
