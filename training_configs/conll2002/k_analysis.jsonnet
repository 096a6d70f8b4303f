// CoNLL-2002 named entities. weighted_top_k_kd.jsonnet for several k.
//
//   allennlp train training_configs/conll2002/k_analysis.jsonnet -s out/conll2002/k5 --include-package structkd_allennlp
//
// Each further k is one more run, and all share the target store:
//
//   for k in 1 2 10 20; do allennlp train training_configs/conll2002/k_analysis.jsonnet -s out/conll2002/k$k --include-package structkd_allennlp --overrides "{\"model.objective.k\": $k}"; done

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.weighted_top_k_kd(tasks.conll2002, k=5)
