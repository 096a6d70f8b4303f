"""Entities in label sequences, and their probabilities under a linear chain."""

from typing import Any, Callable, List, NamedTuple, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

Conditionals = Callable[[Array, Array], Array]
"""
From numbers of sentences and positions, `(n,)` each, to q(y_i+1 | y_i, x), `(n, labels, labels)`,
with rows of 0 where y_i is impossible.
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


def spans_of_paths(
    paths: Array, lengths: Array, boundaries: ChunkBoundaries
) -> List[List[EntitySpan]]:
    """
    The entities of label sequences `(batch, length)`, of which those of padding, beyond `lengths`
    `(batch,)`, may be any.
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
    numbers = (rows, neighbours[0].ravel()[after], first - rows * (length + 1), end)
    spans: List[List[EntitySpan]] = [[] for _ in range(batch)]
    for row, label, *places in zip(*(x.tolist() for x in numbers), strict=True):
        spans[row].append(EntitySpan(types[label], *places))
    return spans


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
        # Shape: (labels,) each; gold entities may be of a type that no label has
        self._no_type = np.zeros(n)
        self._of_type = {
            label: np.array([type_ == label for type_ in boundaries.types[:n]], float)
            for label in boundaries.types
        }

    def __call__(
        self,
        marginals: Array,
        conditionals: Conditionals,
        lengths: Sequence[int],
        spans: Sequence[Sequence[EntitySpan]],
    ) -> List[List[float]]:
        """
        # Parameters

        marginals : `Array`
            `(batch, length, labels)`.
        conditionals : `Conditionals`
        lengths : `Sequence[int]`
            Of the sentences.
        spans : `Sequence[Sequence[EntitySpan]]`
            Of each sentence, in any order.

        # Returns

        `List[List[float]]`
            The probability of each.
        """
        flat = [(row, *span) for row, own in enumerate(spans) for span in own]
        # The longest first, so that those that go on are the first.
        order = sorted(range(len(flat)), key=lambda e: flat[e][2] - flat[e][3])
        found = np.zeros(len(flat))
        if flat:
            rows, labels, starts, ends = zip(*(flat[e] for e in order), strict=True)
            found[order] = self._walk(
                np.asarray(marginals, float),
                conditionals,
                np.take(lengths, rows),
                np.array(rows),
                np.stack([self._of_type.get(label, self._no_type) for label in labels]),
                np.array(starts),
                np.array(ends),
            )
        values = iter(found.tolist())
        return [[next(values) for _ in own] for own in spans]

    def _walk(
        self,
        marginals: Array,
        conditionals: Conditionals,
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
            steps = conditionals(own, before) * self._starts
            walk[inner] = np.einsum("nx,nxy->ny", marginals[own, before], steps)
        walk *= of_type
        for offset in range(int(ends[0] - starts[0]) - 1):
            on = int((ends - starts - 1 > offset).sum())
            steps = conditionals(rows[:on], starts[:on] + offset) * self._goes_on
            walk[:on] = np.einsum("nx,nxy->ny", walk[:on], steps)
        result: Array = walk @ self._ends_last
        inner = np.flatnonzero(ends < lengths)
        if len(inner):
            steps = conditionals(rows[inner], ends[inner] - 1) * self._ends
            result[inner] = np.einsum("nx,nxy->n", walk[inner], steps)
        return result


def conditionals_of_pairs(pairs: Array) -> Conditionals:
    """
    From `(batch, length - 1, labels, labels)`, the marginals of pairs of neighbouring labels.
    """

    def conditionals(rows: Array, positions: Array) -> Array:
        own = np.asarray(pairs[rows, positions], float)
        result: Array = own / np.maximum(own.sum(2, keepdims=True), np.finfo(float).tiny)
        return result

    return conditionals
