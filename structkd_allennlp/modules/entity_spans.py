"""Entities in tag sequences, by the rules of conlleval, and their probability under a chain."""

from typing import Iterable, List, NamedTuple, Optional, Sequence

import torch
from seqeval.metrics.sequence_labeling import end_of_chunk, get_entities, start_of_chunk
from torch import Tensor

# seqeval reads BIO, IOB1 and BIOES. BIOUL and BMES differ from BIOES only in letters.
_TO_BIOES = {"L": "E", "U": "S", "M": "I"}


class EntitySpan(NamedTuple):
    """An entity of type `label` over the tokens `start` to `end`, the latter exclusive."""

    label: str
    start: int
    end: int


def _bioes(tag: str) -> str:
    return _TO_BIOES.get(tag[:1], tag[:1]) + tag[1:]


def entity_spans(tags: Sequence[str]) -> List[EntitySpan]:
    """
    The entities of one sentence as conlleval counts them: an ill-formed start, such as an `I-PER`
    after `O`, starts an entity. Reads BIO, IOB1, BIOUL, BIOES and BMES.
    """
    return [
        EntitySpan(label, start, end + 1)
        for label, start, end in get_entities([_bioes(tag) for tag in tags])
    ]


def scheme_of(labels: Iterable[str]) -> Optional[str]:
    """
    What a set of labels tells of its scheme: `BIOUL` or `BMES` by letters that only these have,
    `BIO` (or IOB1) by `B` and `I` alone, and `None` for labels that encode no spans.
    """
    letters = {label[0] for label in labels if len(label) == 1 or label[1] == "-"}
    if letters & {"U", "L"}:
        return "BIOUL"
    if letters & {"M", "E", "S"}:
        return "BMES"
    return "BIO" if letters & {"B", "I"} else None


class EntityProbability:
    """
    Computes the probability that a linear chain's label sequence holds an entity with exactly the
    given boundaries and label: the sum over all label sequences in which `entity_spans` finds it,
    by a walk over the chain's pair marginals.

    # Parameters

    labels : `Sequence[str]`
        The chain's labels, in order.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        # Whatever stands outside the sentence acts as one more label, O.
        tags = [_bioes(label) for label in [*labels, "O"]]
        split = [(tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_") for tag in tags]
        self._types = [type_ for _, type_ in split]

        def table(rule) -> Tensor:  # type: ignore[no-untyped-def]
            return torch.tensor(
                [[bool(rule(a[0], b[0], a[1], b[1])) for b in split] for a in split]
            ).double()

        self._starts = table(start_of_chunk)
        self._ends = table(end_of_chunk)
        self._goes_on = (1 - self._starts) * (1 - self._ends)

    @torch.no_grad()
    def __call__(self, marginals: Tensor, pair_marginals: Tensor, span: EntitySpan) -> float:
        """
        # Parameters

        marginals : `Tensor`
            `(length, labels)`, of one sentence without padding.
        pair_marginals : `Tensor`
            `(length - 1, labels, labels)`.
        span : `EntitySpan`
        """
        n = marginals.size(1)
        marginals, pairs = marginals.double().cpu(), pair_marginals.double().cpu()
        of_type = torch.tensor([type_ == span.label for type_ in self._types[:n]]).double()
        # Shape: (labels,): the probability of everything up to here, by the current label.
        if span.start == 0:
            walk = marginals[0] * self._starts[n, :n]
        else:
            walk = (pairs[span.start - 1] * self._starts[:n, :n]).sum(0)
        walk = walk * of_type
        for i in range(span.start, span.end - 1):
            walk = walk @ (_conditional(pairs[i]) * self._goes_on[:n, :n])
        if span.end == marginals.size(0):
            return float(walk @ self._ends[:n, n])
        return float((walk @ (_conditional(pairs[span.end - 1]) * self._ends[:n, :n])).sum())


def _conditional(pairs: Tensor) -> Tensor:
    """q(next | current) from q(current, next); rows of 0 where the current label is impossible."""
    return pairs / pairs.sum(1, keepdim=True).clamp(min=torch.finfo(pairs.dtype).tiny)
