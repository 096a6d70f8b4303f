"""Entities in label sequences, and their probabilities under a linear chain."""

from typing import Any, Callable, List, NamedTuple, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

Step = Callable[[Array, Array, Array, Array], Array]
"""
From weights w of labels at a position, `(n, labels)`, numbers of sentences and positions i, `(n,)`
each, and the pairs of labels a to weigh, `(labels, labels)`, to their weights at the next position,
sum_y w(y) q(y_i+1 | y_i = y, x) a(y, y_i+1), `(n, labels)`. An impossible label adds nothing.
"""


class ChunkBoundaries(NamedTuple):
    """
    What a set of labels says about where entities start and end. Whatever stands outside the
    sentence acts as one more label, the last.

    # Parameters

    types : `Sequence[str]`
        `(labels + 1,)`: the entity type of each label.
    starts, ends : `ArrayLike`
        `(labels + 1, labels + 1)` as `[previous, current]`: whether an entity starts at the current
        label, and whether one ends at the previous.
    """

    types: Sequence[str]
    starts: ArrayLike
    ends: ArrayLike


class EntitySpan(NamedTuple):
    """An entity of type `label` over the tokens `start` to `end`, the latter exclusive."""

    label: str
    start: int
    end: int


class SpanArrays(NamedTuple):
    """
    The entities of a batch, `(n,)` each.

    # Parameters

    rows, starts, ends : `Array`
        Numbers of sentences and tokens, the last exclusive.
    labels : `Array`
        The number of a label of the entity's type; -1 where no label has it.
    """

    rows: Array
    labels: Array
    starts: Array
    ends: Array


def spans_of_paths(paths: Array, lengths: Array, boundaries: ChunkBoundaries) -> SpanArrays:
    """
    The entities of label sequences `(batch, length)`, of which those of padding, beyond `lengths`
    `(batch,)`, may be any; in order.
    """
    types, starts, ends = boundaries
    batch, length = paths.shape
    # Shape: (batch, length + 2); with what stands outside on both sides
    padded = np.full((batch, length + 2), len(types) - 1)
    inner = padded[:, 1:-1]
    np.copyto(inner, paths, where=np.arange(length) < np.reshape(lengths, (-1, 1)))
    neighbours = padded[:, :-1], padded[:, 1:]
    first = np.flatnonzero(np.asarray(starts, bool)[neighbours])
    after = np.flatnonzero(np.asarray(ends, bool)[neighbours])
    # An entity began at the last start before its end.
    first = first[np.searchsorted(first, after) - 1]
    rows, end = np.divmod(after, length + 1)
    return SpanArrays(rows, neighbours[0].ravel()[after], first - rows * (length + 1), end)


class EntityProbability:
    """
    Computes the probability that a linear chain's label sequence holds an entity with exactly the
    given boundaries and type: the sum over all label sequences that hold it.

    # Parameters

    boundaries : `ChunkBoundaries`
        Of the chain's labels, in order.
    """

    def __init__(self, boundaries: ChunkBoundaries) -> None:
        n = len(boundaries.types) - 1
        starts, ends = (np.array(x, float) for x in (boundaries.starts, boundaries.ends))
        # Shape: (labels,) and (labels, labels)
        self._starts_first, self._starts = starts[n, :n], starts[:n, :n]
        self._ends_last, self._ends = ends[:n, n], ends[:n, :n]
        self._goes_on = (1 - self._starts) * (1 - self._ends)
        types = boundaries.types[:n]
        self._labels = {type_: label for label, type_ in enumerate(types)}
        # Shape: (labels + 1, labels): those of the same type; nothing is of the last
        self._same_type = np.array(
            [[own == other for other in types] for own in types] + [[False] * n], float
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
            (row, self._labels.get(label, -1), start, end)
            for row, own in enumerate(spans)
            for label, start, end in own
        ]
        columns = np.array(numbers, np.int64).reshape(-1, 4).T
        found = self.of(marginals, step, np.asarray(lengths), SpanArrays(*columns))
        values = iter(found.tolist())
        return [[next(values) for _ in own] for own in spans]

    def of(self, marginals: Array, step: Step, lengths: Array, spans: SpanArrays) -> Array:
        """As a call, `(n,)`."""
        # The longest first, so that those that go on are the first.
        order = np.argsort(spans.starts - spans.ends, kind="stable")
        found = np.zeros(len(order))
        if len(order):
            rows, labels, starts, ends = (column[order] for column in spans)
            found[order] = self._walk(
                np.asarray(marginals, float),
                step,
                lengths[rows],
                rows,
                self._same_type[labels],
                starts,
                ends,
            )
        return found

    def _walk(
        self,
        marginals: Array,
        step: Step,
        lengths: Array,
        rows: Array,
        of_type: Array,
        starts: Array,
        ends: Array,
    ) -> Array:
        """`(n,)`, of entities by falling length."""
        # Shape: (n, labels): the probability of everything up to here, by the current label.
        walk = marginals[rows, starts] * self._starts_first
        inner = np.flatnonzero(starts > 0)
        if len(inner):
            own, before = rows[inner], starts[inner] - 1
            walk[inner] = step(marginals[own, before], own, before, self._starts)
        walk *= of_type
        for offset in range(int(ends[0] - starts[0]) - 1):
            on = int((ends - starts - 1 > offset).sum())
            walk[:on] = step(walk[:on], rows[:on], starts[:on] + offset, self._goes_on)
        result: Array = walk @ self._ends_last
        inner = np.flatnonzero(ends < lengths)
        if len(inner):
            result[inner] = step(walk[inner], rows[inner], ends[inner] - 1, self._ends).sum(1)
        return result


def step_of_pairs(pairs: Array) -> Step:
    """
    From `(batch, length - 1, labels, labels)`, the marginals of pairs of neighbouring labels.
    """

    def step(weights: Array, rows: Array, positions: Array, allowed: Array) -> Array:
        own = np.asarray(pairs[rows, positions], float)
        weights = weights / np.maximum(own.sum(2), np.finfo(float).tiny)
        result: Array = np.einsum("nx,nxy,xy->ny", weights, own, allowed)
        return result

    return step
