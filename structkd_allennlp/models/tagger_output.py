"""What a tagger returns, for machines and for people."""

from typing import Any, Dict, List, Optional, Sequence

import torch

from structkd_allennlp.data.tag_schemes import entity_spans
from structkd_allennlp.modules.entity_probability import EntityProbability
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.linear_chain.spans import step_of_pairs


class TaggerOutput(Dict[str, Any]):
    """
    What a forward pass returns, with the distribution that it comes from, so that
    `make_output_human_readable` need not run forward-backward again. (An entry of the dictionary
    would have to be something that AllenNLP can split into sentences.)
    """

    def __init__(self, chain: LinearChain, **values: Any) -> None:
        super().__init__(**values)
        self.chain = chain


def human_readable(
    output: Dict[str, Any],
    chain: LinearChain,
    labels: Sequence[str],
    entity_probability: Optional[EntityProbability],
) -> Dict[str, Any]:
    """
    The entries that `StructuredCrfTagger.make_output_human_readable` describes.

    # Parameters

    output : `Dict[str, Any]`
        Of a forward pass that has decoded.
    chain : `LinearChain`
        The distribution that it comes from.
    labels : `Sequence[str]`
        In the order of the chain.
    entity_probability : `EntityProbability`, optional
        Only where the labels encode spans.
    """
    lengths = chain.lengths.tolist()
    marginals = chain.marginals
    paths = output["tags"]
    readable: Dict[str, Any] = {
        "tags": [[labels[label] for label in path] for path in paths],
        "tag_probabilities": [
            marginals[b, torch.arange(len(path)), path].tolist() for b, path in enumerate(paths)
        ],
        "top_k": _ranked(output, chain, labels),
    }
    if entity_probability is not None:
        spans = [entity_spans(tags) for tags in readable["tags"]]
        pairs = chain.pair_marginals.detach().cpu().numpy()
        probabilities = entity_probability(
            marginals.detach().cpu().numpy(), step_of_pairs(pairs), lengths, spans
        )
        readable["entities"] = [
            [{**span._asdict(), "probability": p} for span, p in zip(*sentence, strict=True)]
            for sentence in zip(spans, probabilities, strict=True)
        ]
    if "marginals" in output:
        readable["marginals"] = [
            [dict(zip(labels, row, strict=True)) for row in sentence[:n].tolist()]
            for sentence, n in zip(output["marginals"], lengths, strict=True)
        ]
    return readable


def _ranked(
    output: Dict[str, Any], chain: LinearChain, labels: Sequence[str]
) -> List[List[Dict[str, Any]]]:
    """Of each sentence, those of the k best sequences that exist."""
    paths, scores = output["top_k_paths"], output["top_k_scores"]
    columns = (paths, scores, chain.log_prob(paths).exp())
    return [
        [
            {"tags": [labels[y] for y in path[:n]], "score": score, "probability": probability}
            for path, score, probability in zip(*sentence, strict=True)
            if score > -float("inf")
        ]
        for *sentence, n in zip(
            *(column.tolist() for column in columns), chain.lengths.tolist(), strict=True
        )
    ]
