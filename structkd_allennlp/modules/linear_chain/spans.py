"""
The probability that a label sequence goes through given labels from one position to another: the
sum over all sequences that do.
"""

from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Step = Callable[[Array, Array, Array, Array], Array]
"""
From weights w of labels at a position, `(n, labels)`, numbers of sentences and positions i, `(n,)`
each, and the pairs of labels a to weigh, `(labels, labels)`, to their weights at the next position,
sum_y w(y) q(y_i+1 | y_i = y, x) a(y, y_i+1), `(n, labels)`. An impossible label adds nothing.
"""


class Spans(NamedTuple):
    """
    Spans of a batch, `(n,)` each.

    # Parameters

    rows, starts, ends : `Array`
        Numbers of sentences and positions, the last exclusive.
    kinds : `Array`
        Rows of `SpanRules.labels`.
    """

    rows: Array
    kinds: Array
    starts: Array
    ends: Array


class SpanRules(NamedTuple):
    """
    What sequences go through a span, as 0 and 1, float64.

    # Parameters

    labels : `Array`
        `(kinds, labels)`: which of them a span of a kind may start with.
    first, last : `Array`
        `(labels,)`: which a sentence may start with where a span starts, and end with where it
        ends.
    before, inner, after : `Array`
        `(labels, labels)` as `[from, to]`: into the first position of a span, between two of its
        own, and out of its last.
    """

    labels: Array
    first: Array
    before: Array
    inner: Array
    after: Array
    last: Array


def span_probabilities(
    marginals: Array, step: Step, lengths: Array, rules: SpanRules, spans: Spans
) -> Array:
    """
    # Parameters

    marginals : `Array`
        `(batch, length, labels)`.
    step : `Step`
        Of the chain.
    lengths : `Array`
        `(batch,)`.
    rules : `SpanRules`
    spans : `Spans`

    # Returns

    `Array`
        `(n,)`.
    """
    if not len(spans.rows):
        return np.zeros(0)
    # The longest first, so that those that go on are the first.
    order = np.argsort(spans.starts - spans.ends, kind="stable")
    rows, kinds, starts, ends = (column[order] for column in spans)
    # Shape: (n, labels): the probability of everything up to here, by the current label.
    weights = marginals[rows, starts] * rules.first
    inside = np.flatnonzero(starts > 0)
    if len(inside):
        own, before = rows[inside], starts[inside] - 1
        weights[inside] = step(marginals[own, before], own, before, rules.before)
    weights *= rules.labels[kinds]
    for offset in range(int(ends[0] - starts[0]) - 1):
        on = int((ends - starts - 1 > offset).sum())
        weights[:on] = step(weights[:on], rows[:on], starts[:on] + offset, rules.inner)
    result = np.empty(len(order))
    # Not by BLAS: see `ArrayChain.step`.
    result[order] = (weights * rules.last).sum(1)
    inside = np.flatnonzero(ends < lengths[rows])
    if len(inside):
        onward = step(weights[inside], rows[inside], ends[inside] - 1, rules.after)
        result[order[inside]] = onward.sum(1)
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
