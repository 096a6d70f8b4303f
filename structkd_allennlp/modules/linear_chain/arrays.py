"""
The inference of a `LinearChain` on NumPy arrays, for where a tagger is served without PyTorch: the
same formulas, no gradients, and one set of transitions for all sentences.

By itself it works on all sentences of a batch at a time, and needs nothing compiled, so a process
has its first result soon. A process that lives long can have the loops that Numba compiles: they
take a second to load, and from then on a tenth of the time.
"""

from functools import cached_property
from typing import Any, List, NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray

from structkd_allennlp.modules.linear_chain.constants import (
    FORBIDDEN,
    IMPOSSIBLE,
    SMALLEST_PRODUCT,
)
from structkd_allennlp.modules.linear_chain.spans import SpanRules, Spans, span_probabilities

Array = NDArray[Any]

# A step whose factors sum to less may have lost digits of what adds little to the sum.
_SMALLEST_SUM = 1e-90


class ArrayPotentials:
    """
    The log potentials of a chain that do not depend on the sentence; minus infinity forbids.

    # Parameters

    transitions : `Array`
        `(labels, labels)` as `[from, to]`.
    start, end : `Array`
        `(labels,)`: of the first and the last label.
    """

    def __init__(self, transitions: Array, start: Array, end: Array) -> None:
        self.transitions, self.start, self.end = (
            np.maximum(np.asarray(x, np.float64), FORBIDDEN) for x in (transitions, start, end)
        )
        self.highest = self.transitions.max()
        self.factors = np.exp(self.transitions - self.highest)
        # Shape: (2, labels, labels); of the forward recursion and of the backward one
        self.both_directions = np.stack([self.factors, self.factors.T])


class Messages(NamedTuple):
    """
    As in `TorchRecursions`, each up to a scale that depends on the sentence and the position, but
    for beta, which is `A onward` of the next position exactly.

    # Parameters

    alpha, beta, onward : `Array`
        `(batch, length, labels)`.
    log_scales : `Array`
        `(batch,)`: the logarithm of what a sentence's last alpha has been divided by.
    """

    alpha: Array
    beta: Array
    onward: Array
    log_scales: Array


class ArrayChain:
    """
    The distribution over label sequences of a batch of sentences. Everything is float64.

    # Parameters

    emissions : `Array`
        `(batch, length, labels)`.
    lengths : `Array`
        `(batch,)`: 1 or more each.
    potentials : `ArrayPotentials`
    compiled : `bool`, optional (default = `False`)
        Whether by the loops that Numba compiles, where it is installed.
    """

    def __init__(
        self, emissions: Array, lengths: Array, potentials: ArrayPotentials, compiled: bool = False
    ) -> None:
        self._emissions = emissions
        self._lengths = lengths
        self._potentials = potentials
        self._compiled = compiled
        if not compiled:
            self._scores = self._with_ends(potentials)
            # Shape: (batch, length)
            highest = self._scores.max(-1)
            # Shifted so that no factor is above 1.
            self._factors = np.exp(self._scores - highest[:, :, None])
            self._support = self._scores > IMPOSSIBLE
            self._shifts = (highest * self._mask).sum(1)
            return
        from structkd_allennlp.modules.linear_chain import loops

        self._scores, self._factors = (np.empty(emissions.shape) for _ in range(2))
        self._support, self._shifts = np.empty(emissions.shape, bool), np.zeros(len(emissions))
        results = self._scores, self._factors, self._shifts
        ends = potentials.start, potentials.end
        loops.prepare(emissions, lengths, ends, self._support, results)

    @cached_property
    def _mask(self) -> Array:
        """`(batch, length)`."""
        mask: Array = np.arange(self._emissions.shape[1]) < self._lengths[:, None]
        return mask

    def _with_ends(self, potentials: ArrayPotentials) -> Array:
        """`(batch, length, labels)`, float64, finite: 0 where masked."""
        scores = self._emissions.astype(np.float64)
        np.maximum(scores, FORBIDDEN, out=scores)
        scores[~self._mask] = 0
        scores[:, 0] += potentials.start
        scores[np.arange(len(scores)), self._lengths - 1] += potentials.end
        return scores

    def k_best(self, k: int, potentials: ArrayPotentials) -> Tuple[Array, Array]:
        """
        The `k` best label sequences of every sentence, all different, under other potentials or the
        same.

        # Returns

        `Tuple[Array, Array]`
            Paths `(batch, k, length)`, 0 where masked, and their scores `(batch, k)`, unnormalised,
            best first. Where there are fewer paths, the rest are 0 and score minus infinity.
        """
        same = potentials is self._potentials
        scores = self._scores if same else self._with_ends(potentials)
        batch, length, _ = scores.shape
        if self._compiled:
            from structkd_allennlp.modules.linear_chain import loops

            paths = np.zeros((batch, k, length), np.int64)
            values = np.full((batch, k), -np.inf)
            transitions = potentials.transitions[None, None]
            loops.search((scores, transitions, self._lengths), paths, values)
            return paths, values
        found, best = _best_paths(k, scores, potentials.transitions, self._mask)
        missing = best < IMPOSSIBLE
        paths = np.zeros((batch, k, length), np.int64)
        paths[:, : found.shape[1]] = np.where(missing[:, :, None], 0, found)
        paths *= self._mask[:, None]
        values = np.full((batch, k), -np.inf)
        values[:, : best.shape[1]] = np.where(missing, -np.inf, best)
        return paths, values

    @cached_property
    def _posterior(self) -> Tuple[Array, Array, Messages]:
        """Marginals `(batch, length, labels)`, log Z `(batch,)` and the messages."""
        scores, potentials, lengths = self._scores, self._potentials, self._lengths
        if self._compiled:
            posteriors = _compiled_posteriors(self._factors, self._support, potentials, lengths)
        else:
            posteriors = _posteriors(self._factors, self._support, potentials, lengths, self._mask)
        marginals, messages, fine = posteriors
        log_z = messages.log_scales + self._shifts
        log_z += (lengths - 1) * potentials.highest
        if not fine.all():
            rows = np.flatnonzero(~fine)
            own = _in_log_space(scores[rows], potentials.transitions, self._mask[rows])
            marginals[rows], log_z[rows] = own[0] * self._mask[rows, :, None], own[1]
            # Such that `step` needs not know.
            messages.onward[rows], messages.beta[rows] = 0, 1
            self._log_onward.update(zip(rows.tolist(), own[2], strict=True))
        return marginals, log_z, messages

    @cached_property
    def _log_onward(self) -> dict[int, Array]:
        """`(length, labels)` each: of the sentences that log space has computed."""
        return {}

    @property
    def marginals(self) -> Array:
        """`(batch, length, labels)`: q(y_i = j | x). Rows sum to 1; 0 where masked."""
        return self._posterior[0]

    @property
    def log_partition(self) -> Array:
        """`(batch,)`: log Z."""
        log_z: Array = self._posterior[1]
        return log_z

    def span_probabilities(self, rules: SpanRules, spans: Spans) -> Array:
        """`(n,)`: see `spans`."""
        marginals, _, messages = self._posterior
        if not self._compiled or self._log_onward:
            return span_probabilities(marginals, self.step, self._lengths, rules, spans)
        from structkd_allennlp.modules.linear_chain import loops

        found = np.zeros(len(spans.rows))
        own = marginals, messages.beta, messages.onward
        loops.span_probabilities(
            own, self._potentials.factors, self._lengths, tuple(rules), tuple(spans), found
        )
        return found

    def step(self, weights: Array, rows: Array, positions: Array, allowed: Array) -> Array:
        """See `spans.Step`."""
        messages = self._posterior[2]
        beta = messages.beta[rows, positions]
        # What is impossible has no weight, whatever it is divided by.
        weights = weights / np.where(beta > 0, beta, 1)
        # BLAS would add up in an order that depends on n, and results are to be the same to the bit
        # however sentences are batched.
        result: Array = (weights[:, :, None] * (self._potentials.factors * allowed)).sum(1)
        result *= messages.onward[rows, positions + 1]
        for n, row in enumerate(rows.tolist() if self._log_onward else ()):
            if row in self._log_onward:
                inner = self._potentials.transitions + self._log_onward[row][positions[n] + 1]
                conditionals = np.exp(inner - _logsumexp(inner, 1)[:, None])
                result[n] = weights[n] @ (conditionals * allowed)
        return result


def _posteriors(
    factors: Array, support: Array, potentials: ArrayPotentials, lengths: Array, mask: Array
) -> Tuple[Array, Messages, Array]:
    """
    The marginals, `(batch, length, labels)`, the messages, and `(batch,)`, whether they hold: not
    where digits of what is possible (`support`) may have been lost.
    """
    messages, lost = _messages(factors, potentials, lengths)
    marginals = messages.alpha * messages.beta
    least = np.where(support & mask[:, :, None], marginals, np.inf).min((1, 2))
    norms = marginals.sum(-1)
    norms[~mask] = 1
    with np.errstate(divide="ignore", invalid="ignore"):
        marginals /= norms[:, :, None]
    marginals[~mask] = 0
    return marginals, messages, _hold(least, norms) & ~lost


def _hold(least: Array, norms: Array) -> Array:
    # Where nothing at all is possible there are NaN, which are not above anything.
    result: Array = (least > SMALLEST_PRODUCT) & (norms > SMALLEST_PRODUCT).all(1)
    return result


def _messages(
    factors: Array, potentials: ArrayPotentials, lengths: Array
) -> Tuple[Messages, Array]:
    """
    The messages, and which sentences `(batch,)` may have lost digits. One loop runs both
    recursions: the backward one is the forward one over the reversed sentence.
    """
    batch, length, labels = factors.shape
    rows, positions = np.arange(batch)[:, None], np.arange(length)
    last = lengths[:, None] - 1
    # Shape: (batch, length); positions from last to first, padding in place
    back = np.where(positions <= last, last - positions, positions)
    # Shape: (length, 2, batch, labels)
    by_step = np.empty((length, 2, batch, labels))
    by_step[:, 0] = factors.swapaxes(0, 1)
    by_step[:, 1] = factors[rows, back].swapaxes(0, 1)
    # Of the forward recursion: alpha_{i-1} A and alpha; of the backward one: beta and onward.
    before, after = np.ones_like(by_step), np.empty_like(by_step)
    sums = np.empty((length, 2, batch, 1))
    previous = None
    with np.errstate(divide="ignore", invalid="ignore"):
        for own, into, out, total in zip(by_step, before, after, sums, strict=True):
            if previous is not None:
                np.matmul(previous, potentials.both_directions, into)
            np.multiply(into, own, out)
            np.add.reduce(out, 2, None, total, keepdims=True)
            np.divide(out, total, out)
            previous = out
        here = positions <= last
        log_scales = np.where(here, np.log(sums[:, 0, :, 0].T), 0).sum(1)
    lost = ~(np.where(here, sums[:, :, :, 0].min(1).T, 1).min(1) > _SMALLEST_SUM)
    beta, onward = (x[:, 1].swapaxes(0, 1)[rows, back] for x in (before, after))
    return Messages(after[:, 0].swapaxes(0, 1), beta, onward, log_scales), lost


def _compiled_posteriors(
    factors: Array, support: Array, potentials: ArrayPotentials, lengths: Array
) -> Tuple[Array, Messages, Array]:
    """See `_posteriors`."""
    from structkd_allennlp.modules.linear_chain import loops

    batch, length, _ = factors.shape
    alpha, beta, onward, marginals = (np.empty_like(factors) for _ in range(4))
    log_scales = np.zeros(batch)
    chain = factors, potentials.factors[None, None], lengths
    messages = alpha, beta, onward
    loops.run(chain, messages, np.ones((2, batch, length)), log_scales)
    norms, least = np.ones((batch, length)), np.full(batch, np.inf)
    loops.normalise(chain, messages, support, (marginals, norms, least))
    with np.errstate(divide="ignore"):
        # Beta is 1 there, so this is the sum of the last alpha.
        log_scales += np.log(norms[np.arange(batch), lengths - 1])
    return marginals, Messages(*messages, log_scales), _hold(least, norms)


def _in_log_space(scores: Array, transitions: Array, mask: Array) -> Tuple[Array, Array, Array]:
    """
    Marginals `(n, length, labels)`, log Z `(n,)` and log onward `(n, length, labels)` of sentences
    whose scores span more than float64 can hold as factors: see `LogSpaceForwardBackward`.
    """
    length = scores.shape[1]
    alpha, beta = scores.copy(), np.zeros_like(scores)
    for i in range(1, length):
        alpha[:, i] += _logsumexp(alpha[:, i - 1, :, None] + transitions, 1)
    for i in range(length - 2, -1, -1):
        # Shape: (n, 1, labels) -> (n, labels)
        following = _logsumexp(transitions + (scores[:, i + 1] + beta[:, i + 1])[:, None], 2)
        beta[:, i] = np.where(mask[:, i + 1, None], following, 0)
    onward = scores + beta
    total = alpha + beta
    marginals = np.exp(total - _logsumexp(total, 2)[:, :, None])
    return marginals, _logsumexp(onward[:, 0], 1), onward


def _logsumexp(values: Array, axis: int) -> Array:
    highest = values.max(axis, keepdims=True)
    result: Array = np.log(np.exp(values - highest).sum(axis)) + highest.squeeze(axis)
    return result


def _best_paths(k: int, scores: Array, transitions: Array, mask: Array) -> Tuple[Array, Array]:
    """
    `(batch, ranks, length)` and `(batch, ranks)`: as in `torch_backend.best_paths`, a Viterbi pass
    from the right, and a search from the left that knows how each prefix can go on at best.
    """
    length = scores.shape[1]
    # Shape: (length, batch, labels)
    onward = scores.swapaxes(0, 1).copy("C")
    following = np.zeros_like(onward)
    ends: List[bool] = np.logical_not(mask.all(0)).tolist()
    backwards = np.ascontiguousarray(transitions.T)
    # Shape: (batch, labels to, labels from)
    inner = np.empty((len(scores), *transitions.shape))
    for i in range(length - 2, -1, -1):
        np.add(onward[i + 1][:, :, None], backwards, inner)
        np.maximum.reduce(inner, 1, None, following[i])
        if ends[i + 1]:
            following[i] *= mask[:, i + 1, None]
        onward[i] += following[i]
    if k == 1:
        state = onward[0].argmax(1)
        states = [state]
        for i in range(1, length):
            state = (transitions[state] + onward[i]).argmax(1)
            states.append(state)
        return np.stack(states, 1)[:, None], onward[0].max(1)[:, None]
    return _beam_search(k, following, onward, transitions, mask)


def _beam_search(
    k: int, following: Array, onward: Array, transitions: Array, mask: Array
) -> Tuple[Array, Array]:
    length, batch, labels = onward.shape
    rows = np.arange(batch)[:, None]
    # Past the end of a sentence its paths stay as they are, all with label 0.
    stay = np.full(labels, 2 * FORBIDDEN)
    stay[0] = 0
    # Shape: (batch, ranks)
    state = _highest_first(onward[0], k)
    best = onward[0][rows, state]
    states, parents = [state], []
    for i in range(length - 1):
        # Without the best way on, which `best` includes already.
        level = best - following[i][rows, state]
        # Shape: (batch, ranks, labels)
        extended = (transitions[state] + onward[i + 1][:, None]) + level[:, :, None]
        here = mask[:, i + 1, None, None]
        if not here.all():
            extended = np.where(here, extended, best[:, :, None] + stay)
        # Shape: (batch, ranks * labels) -> (batch, new ranks)
        extended = extended.reshape(batch, -1)
        chosen = _highest_first(extended, k)
        best = extended[rows, chosen]
        parent, state = np.divmod(chosen, labels)
        states.append(state)
        parents.append(parent)
    path = [state]
    rank = np.broadcast_to(np.arange(best.shape[1]), best.shape)
    for own, parent in zip(states[-2::-1], parents[::-1], strict=True):
        rank = parent[rows, rank]
        path.append(own[rows, rank])
    return np.stack(path[::-1], 2), best


def _highest_first(values: Array, k: int) -> Array:
    """`(batch, n)` -> `(batch, min(k, n))`: equal values stay in the order in which they are."""
    order: Array = np.argsort(-values, 1, kind="stable")
    return order[:, :k]
