"""
The loops of `torch_backend`, sentence by sentence, over NumPy arrays; its functions have the
formulas. Numba compiles them where it is installed. What serves a tagger runs them without PyTorch.
"""

from typing import Any, Callable, Tuple, TypeVar

import numpy

from structkd_allennlp.modules.linear_chain.constants import (
    FORBIDDEN,
    IMPOSSIBLE,
    SMALLEST_SCALE,
)

numba: Any
try:
    import numba
except ImportError:
    numba = None

ARE_COMPILED = numba is not None

Function = TypeVar("Function", bound=Callable[..., Any])
Array = Any
"""A NumPy array. Numba checks what it holds."""
Arrays = Tuple[Array, Array, Array]


def compiled(function: Function) -> Function:
    """Compiled on its first call, and cached on disk for later processes."""
    if numba is None:
        return function
    # Sums may be reordered for vector instructions. NaN and infinity keep their meaning.
    fastmath = {"reassoc", "contract", "nsz"}
    result: Function = numba.njit(cache=True, fastmath=fastmath, error_model="numpy")(function)
    return result


@compiled
def _at(matrices: Array, sentence: int, step: int) -> Array:
    """The matrix of a step; they may be the same for all sentences, or at all positions of one."""
    return matrices[sentence if len(matrices) > 1 else 0, step if matrices.shape[1] > 1 else 0]


@compiled
def _multiply_forth(vector: Array, matrix: Array, result: Array) -> None:
    """result += vector matrix"""
    for j in range(len(vector)):
        weight = vector[j]
        for k in range(len(vector)):
            result[k] += weight * matrix[j, k]


@compiled
def _multiply_back(matrix: Array, vector: Array, result: Array) -> None:
    """result += matrix vector"""
    for j in range(len(vector)):
        entry = 0.0
        for k in range(len(vector)):
            entry += matrix[j, k] * vector[k]
        result[j] += entry


@compiled
def run(chain: Arrays, messages: Arrays, scales: Array, log_scales: Array) -> None:
    factors, transition_factors, lengths = chain
    alpha, beta, onward = messages
    batch, _, labels = factors.shape
    for b in range(batch):
        for empty in messages:
            empty[b] = 0
        last = lengths[b] - 1
        for j in range(labels):
            alpha[b, 0, j] = factors[b, 0, j]
        for i in range(1, last + 1):
            matrix = _at(transition_factors, b, i - 1)
            message, previous = alpha[b, i], alpha[b, i - 1]
            _multiply_forth(previous, matrix, message)
            total = 0.0
            for k in range(labels):
                message[k] *= factors[b, i, k]
                # Rescaling would hide that it has lost digits.
                if message[k] < SMALLEST_SCALE:
                    message[k] = 0
                total += message[k]
            # Where nothing is possible there is nothing to rescale.
            if total > SMALLEST_SCALE:
                scales[0, b, i] = 1 / total
                log_scales[b] += numpy.log(total)
                for k in range(labels):
                    message[k] *= scales[0, b, i]
        for j in range(labels):
            beta[b, last, j] = 1.0
            onward[b, last, j] = factors[b, last, j]
        for i in range(last - 1, -1, -1):
            matrix = _at(transition_factors, b, i)
            message, following = beta[b, i], onward[b, i + 1]
            total = 0.0
            _multiply_back(matrix, following, message)
            for j in range(labels):
                total += message[j]
            if total > SMALLEST_SCALE:
                scales[1, b, i] = 1 / total
            for j in range(labels):
                onward[b, i, j] = message[j] * scales[1, b, i] * factors[b, i, j]


@compiled
def normalise(chain: Arrays, messages: Arrays, support: Array, results: Arrays) -> None:
    lengths = chain[2]
    alpha, beta, _ = messages
    posteriors, norms, least = results
    batch, _, labels = alpha.shape
    for b in range(batch):
        posteriors[b, lengths[b] :] = 0
        for i in range(lengths[b]):
            row = posteriors[b, i]
            total = 0.0
            for j in range(labels):
                row[j] = alpha[b, i, j] * beta[b, i, j]
                total += row[j]
                if support[b, i, j] and row[j] < least[b]:
                    least[b] = row[j]
            norms[b, i] = total
            inverse = 1 / total
            for j in range(labels):
                row[j] *= inverse


@compiled
def jvp(
    chain: Arrays, messages: Arrays, scales: Array, tangents: Tuple[Array, Array], results: Arrays
) -> None:
    factors, transition_factors, lengths = chain
    alpha, _, onward = messages
    scores, transitions = tangents
    alpha_tangents, beta_tangents, onward_tangents = results
    batch, _, labels = factors.shape
    for b in range(batch):
        for empty in results:
            empty[b] = 0
        last = lengths[b] - 1
        for j in range(labels):
            alpha_tangents[b, 0, j] = alpha[b, 0, j] * scores[b, 0, j]
        for i in range(1, last + 1):
            matrix = _at(transition_factors, b, i - 1)
            tangent, previous = alpha_tangents[b, i], alpha_tangents[b, i - 1]
            _multiply_forth(previous, matrix, tangent)
            if len(transitions):
                _multiply_forth(alpha[b, i - 1], matrix * _at(transitions, b, i - 1), tangent)
            scale = scales[0, b, i]
            for k in range(labels):
                own = alpha[b, i, k] * scores[b, i, k]
                tangent[k] = tangent[k] * factors[b, i, k] * scale + own
        for j in range(labels):
            onward_tangents[b, last, j] = onward[b, last, j] * scores[b, last, j]
        for i in range(last - 1, -1, -1):
            matrix = _at(transition_factors, b, i)
            tangent, following = beta_tangents[b, i], onward_tangents[b, i + 1]
            _multiply_back(matrix, following, tangent)
            if len(transitions):
                _multiply_back(matrix * _at(transitions, b, i), onward[b, i + 1], tangent)
            scale = scales[1, b, i]
            for j in range(labels):
                own = onward[b, i, j] * scores[b, i, j]
                onward_tangents[b, i, j] = tangent[j] * factors[b, i, j] * scale + own


@compiled
def search(chain: Arrays, paths: Array, values: Array) -> None:
    scores, transitions, lengths = chain
    batch, length, labels = scores.shape
    k = paths.shape[1]
    following, onward = numpy.empty((2, length, labels))
    level, best = numpy.empty((2, k))
    states, parents = numpy.zeros((2, length, k), numpy.int64)
    for b in range(batch):
        last = lengths[b] - 1
        following[last] = 0
        onward[last] = scores[b, last]
        for i in range(last - 1, -1, -1):
            matrix = _at(transitions, b, i)
            for j in range(labels):
                highest = -numpy.inf
                for m in range(labels):
                    highest = max(highest, matrix[j, m] + onward[i + 1, m])
                following[i, j] = highest
                onward[i, j] = highest + scores[b, i, j]

        ranks = 0
        for j in range(labels):
            ranks = _insert(best, states[0], parents[0], ranks, onward[0, j], j, 0)
        for i in range(last):
            matrix = _at(transitions, b, i)
            for r in range(ranks):
                # Without the best way on, which `best` includes already.
                level[r] = best[r] - following[i, states[i, r]]
            previous, ranks = ranks, 0
            for r in range(previous):
                row = matrix[states[i, r]]
                for j in range(labels):
                    value = level[r] + (row[j] + onward[i + 1, j])
                    if ranks < k or value > best[k - 1]:
                        ranks = _insert(best, states[i + 1], parents[i + 1], ranks, value, j, r)

        for r in range(ranks):
            if best[r] < IMPOSSIBLE:
                break
            values[b, r] = best[r]
            rank = r
            for i in range(last, -1, -1):
                paths[b, r, i] = states[i, rank]
                rank = parents[i, rank]


@compiled
def _insert(
    best: Array, states: Array, parents: Array, ranks: int, value: float, state: int, parent: int
) -> int:
    """Inserts into the best so far, in order; equal values stay in the order in which they came."""
    k = len(best)
    if ranks == k and not value > best[k - 1]:
        return ranks
    place = min(ranks, k - 1)
    while place > 0 and value > best[place - 1]:
        best[place] = best[place - 1]
        states[place] = states[place - 1]
        parents[place] = parents[place - 1]
        place -= 1
    best[place] = value
    states[place] = state
    parents[place] = parent
    return min(ranks + 1, k)


@compiled
def prepare(
    emissions: Array, lengths: Array, ends: Tuple[Array, Array], support: Array, results: Arrays
) -> None:
    """See `ArrayChain`: its scores, their factors and the sum of what these are divided by."""
    start, end = ends
    scores, factors, highest = results
    batch, _, labels = emissions.shape
    for b in range(batch):
        last = lengths[b] - 1
        scores[b, last + 1 :] = 0
        for i in range(last + 1):
            most = -numpy.inf
            for j in range(labels):
                value = max(float(emissions[b, i, j]), FORBIDDEN)
                if i == 0:
                    value += start[j]
                if i == last:
                    value += end[j]
                scores[b, i, j] = value
                support[b, i, j] = value > IMPOSSIBLE
                most = max(most, value)
            highest[b] += most
            for j in range(labels):
                factors[b, i, j] = numpy.exp(scores[b, i, j] - most)


@compiled
def find_spans(paths: Array, lengths: Array, boundaries: Tuple[Array, Array], spans: Array) -> int:
    """See `spans_of_paths`; how many there are."""
    starts, ends = boundaries
    outside = len(starts) - 1
    number = first = 0
    for b in range(len(paths)):
        previous = outside
        for i in range(lengths[b] + 1):
            current = paths[b, i] if i < lengths[b] else outside
            if ends[previous, current]:
                spans[0, number] = b
                spans[1, number] = previous
                spans[2, number] = first
                spans[3, number] = i
                number += 1
            if starts[previous, current]:
                first = i
            previous = current
    return number


@compiled
def span_probabilities(
    messages: Arrays,
    factors: Array,
    lengths: Array,
    rules: Tuple[Array, ...],
    spans: Tuple[Array, ...],
    results: Array,
) -> None:
    """See `spans`; the messages are marginals, beta and onward."""
    marginals, _, _ = messages
    kinds_labels, first, before, inner, after, last = rules
    rows, kinds, starts, ends = spans
    labels = len(first)
    weights, following = numpy.empty((2, labels))
    for n in range(len(rows)):
        b, start, end = rows[n], starts[n], ends[n]
        if start == 0:
            for j in range(labels):
                weights[j] = marginals[b, 0, j] * first[j]
        else:
            _step(marginals[b, start - 1], messages, factors, (b, start - 1), before, weights)
        for j in range(labels):
            weights[j] *= kinds_labels[kinds[n], j]
        for i in range(start, end - 1):
            _step(weights, messages, factors, (b, i), inner, following)
            weights[:] = following
        if end < lengths[b]:
            _step(weights, messages, factors, (b, end - 1), after, following)
        else:
            for j in range(labels):
                following[j] = weights[j] * last[j]
        for j in range(labels):
            results[n] += following[j]


@compiled
def _step(
    weights: Array,
    messages: Arrays,
    factors: Array,
    place: Tuple[int, int],
    allowed: Array,
    result: Array,
) -> None:
    """As `ArrayChain.step`, of one span."""
    _, beta, onward = messages
    b, i = place
    result[:] = 0
    for j in range(len(weights)):
        # What is impossible has no weight.
        if beta[b, i, j] > 0:
            weight = weights[j] / beta[b, i, j]
            for k in range(len(weights)):
                result[k] += weight * factors[j, k] * allowed[j, k]
    for k in range(len(weights)):
        result[k] *= onward[b, i + 1, k]
