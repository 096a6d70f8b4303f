"""The probability of an entity under a linear chain."""

from typing import NamedTuple, Sequence

import torch
from torch import Tensor


class ChunkBoundaries(NamedTuple):
    """
    What a set of labels says about where entities start and end. Whatever stands outside the
    sentence acts as one more label, the last.

    # Parameters

    types : `Sequence[str]`
        `(labels + 1,)`: the entity type of each label.
    starts, ends : `Sequence[Sequence[bool]]`
        `(labels + 1, labels + 1)` as `[previous, current]`: whether an entity starts at the current
        label, and whether one ends at the previous.
    """

    types: Sequence[str]
    starts: Sequence[Sequence[bool]]
    ends: Sequence[Sequence[bool]]


class EntityProbability:
    """
    Computes the probability that a linear chain's label sequence holds an entity with exactly the
    given boundaries and type: the sum over all label sequences that hold it, by a walk over the
    chain's pair marginals.

    # Parameters

    boundaries : `ChunkBoundaries`
        Of the chain's labels, in order.
    """

    def __init__(self, boundaries: ChunkBoundaries) -> None:
        self._types = boundaries.types
        self._starts = torch.tensor(boundaries.starts).double()
        self._ends = torch.tensor(boundaries.ends).double()
        self._goes_on = (1 - self._starts) * (1 - self._ends)

    @torch.no_grad()
    def __call__(
        self, marginals: Tensor, pair_marginals: Tensor, label: str, start: int, end: int
    ) -> float:
        """
        # Parameters

        marginals : `Tensor`
            `(length, labels)`, of one sentence without padding.
        pair_marginals : `Tensor`
            `(length - 1, labels, labels)`.
        label : `str`
            The type of the entity.
        start, end : `int`
            Its tokens, the end exclusive.
        """
        n = marginals.size(1)
        marginals, pairs = marginals.double().cpu(), pair_marginals.double().cpu()
        of_type = torch.tensor([type_ == label for type_ in self._types[:n]]).double()
        # Shape: (labels,): the probability of everything up to here, by the current label.
        if start == 0:
            walk = marginals[0] * self._starts[n, :n]
        else:
            walk = (pairs[start - 1] * self._starts[:n, :n]).sum(0)
        walk = walk * of_type
        for i in range(start, end - 1):
            walk = walk @ (_conditional(pairs[i]) * self._goes_on[:n, :n])
        if end == marginals.size(0):
            return float(walk @ self._ends[:n, n])
        return float((walk @ (_conditional(pairs[end - 1]) * self._ends[:n, :n])).sum())


def _conditional(pairs: Tensor) -> Tensor:
    """q(next | current) from q(current, next); rows of 0 where the current label is impossible."""
    return pairs / pairs.sum(1, keepdim=True).clamp(min=torch.finfo(pairs.dtype).tiny)
