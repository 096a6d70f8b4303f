"""Entities in label sequences, and their probabilities under a linear chain."""

from typing import Any, List, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from structkd_allennlp.modules.linear_chain.spans import (
    SpanRules,
    Spans,
    Step,
    span_probabilities,
)

Array = NDArray[Any]


class ChunkBoundaries(NamedTuple):
    """
    What a set of labels says about where entities start and end. Whatever stands outside the
    sentence acts as one more label, the last.

    # Parameters

    types : `Sequence[str]`
        `(labels + 1,)`: the entity type of each label.
    starts, ends : `Array`
        `(labels + 1, labels + 1)` as `[previous, current]`, bool: whether an entity starts at the
        current label, and whether one ends at the previous.
    """

    types: Sequence[str]
    starts: Array
    ends: Array


class EntitySpan(NamedTuple):
    """An entity of type `label` over the tokens `start` to `end`, the latter exclusive."""

    label: str
    start: int
    end: int


def spans_of_paths(
    paths: Array, lengths: Array, boundaries: ChunkBoundaries, compiled: bool = False
) -> Spans:
    """
    The entities of label sequences `(batch, length)`, of which those of padding, beyond `lengths`
    `(batch,)`, may be any; in order. Their kinds are labels of their type. They are found by the
    loops that Numba compiles, or all at a time.
    """
    types, starts, ends = boundaries
    batch, length = paths.shape
    if compiled:
        from structkd_allennlp.modules.linear_chain import loops

        found = np.empty((4, batch * length), np.int64)
        number = loops.find_spans(paths, lengths, (starts, ends), found)
        return Spans(*found[:, :number])
    # Shape: (batch, length + 2); with what stands outside on both sides
    padded = np.full((batch, length + 2), len(types) - 1)
    inner = padded[:, 1:-1]
    np.copyto(inner, paths, where=np.arange(length) < np.reshape(lengths, (-1, 1)))
    neighbours = padded[:, :-1], padded[:, 1:]
    first = np.flatnonzero(starts[neighbours])
    after = np.flatnonzero(ends[neighbours])
    # An entity began at the last start before its end.
    first = first[np.searchsorted(first, after) - 1]
    rows, end = np.divmod(after, length + 1)
    return Spans(rows, neighbours[0].ravel()[after], first - rows * (length + 1), end)


class EntityProbability:
    """
    Computes the probability that a linear chain's label sequence holds an entity with exactly the
    given boundaries and type: the sum over all label sequences that hold it.

    # Parameters

    boundaries : `ChunkBoundaries`
        Of the chain's labels, in order.

    # Attributes

    rules : `SpanRules`
        Whose kinds are the labels, each for entities of its type, and one more for types that no
        label has, the last.
    """

    def __init__(self, boundaries: ChunkBoundaries) -> None:
        n = len(boundaries.types) - 1
        types = boundaries.types[:n]
        starts, ends = (x.astype(float) for x in (boundaries.starts, boundaries.ends))
        self._kinds = {type_: label for label, type_ in enumerate(types)}
        self.rules = SpanRules(
            labels=np.array(
                [[own == other for other in types] for own in types] + [[False] * n], float
            ),
            first=starts[n, :n].copy(),
            before=starts[:n, :n].copy(),
            inner=(1 - starts[:n, :n]) * (1 - ends[:n, :n]),
            after=ends[:n, :n].copy(),
            last=ends[:n, n].copy(),
        )

    def __call__(
        self,
        marginals: Array,
        step: Step,
        lengths: Sequence[int],
        spans: Sequence[Sequence[EntitySpan]],
    ) -> List[List[float]]:
        """
        # Parameters

        marginals : `Array`
            `(batch, length, labels)`.
        step : `Step`
            Of the chain.
        lengths : `Sequence[int]`
            Of the sentences.
        spans : `Sequence[Sequence[EntitySpan]]`
            Of each sentence, in any order.

        # Returns

        `List[List[float]]`
            The probability of each.
        """
        numbers = [
            (row, self._kinds.get(label, -1), start, end)
            for row, own in enumerate(spans)
            for label, start, end in own
        ]
        columns = np.array(numbers, np.int64).reshape(-1, 4).T
        found = span_probabilities(
            np.asarray(marginals, float), step, np.asarray(lengths), self.rules, Spans(*columns)
        )
        values = iter(found.tolist())
        return [[next(values) for _ in own] for own in spans]
