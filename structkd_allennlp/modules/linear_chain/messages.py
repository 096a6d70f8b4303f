"""
Forward-backward in probability space, and the closed forms of its derivatives.

A step of a recursion is a matrix product and a multiplication instead of a logsumexp over all pairs
of labels, and autograd records nothing: the gradient of log Z is the marginals, and the gradient
through the marginals, a product with the Hessian of log Z, is one more pass of the recursions in
forward mode (Pearlmutter, 1994; Li & Eisner, 2009). All of it is in float64.
"""

from functools import cached_property
from typing import Callable, Optional, Protocol, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain.constants import IMPOSSIBLE, SMALLEST_PRODUCT
from structkd_allennlp.modules.linear_chain.torch_backend import per_position


class Recursions(Protocol):
    """The part of a backend that computes messages: see `TorchRecursions`."""

    alpha: Tensor
    beta: Tensor
    onward: Tensor
    log_scales: Tensor

    def posteriors(self, support: Tensor) -> Tuple[Tensor, Tensor, Tensor]: ...

    def clear(self, rows: Tensor) -> None: ...

    def jvp(
        self, scores: Tensor, transitions: Optional[Tensor]
    ) -> Tuple[Tensor, Tensor, Tensor]: ...


class ForwardBackward:
    """
    log Z and the expectations of a batch of sentences. With alpha, onward, the factors A and the
    norms as in `TorchRecursions`,

        q(y_i = x, y_{i+1} = y) = alpha_i(x) * A(x, y) * onward_{i+1}(y) / norm_i

    in which the scales of the messages cancel out. No gradient passes through this class: see
    `autograd`.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`, float64: log potentials; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64: log potentials; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    recursions : `Callable[[Tensor, Tensor, Tensor], Recursions]`
        Those of a backend.

    # Attributes

    marginals : `Tensor`
        `(batch, length, labels)`: 0 where masked.
    unreliable : `Optional[Tensor]`
        `(n,)`, long: the sentences whose scores span more than float64 can hold as factors, so that
        a label in the support has a probability of 0 or one that may have lost digits; `None` if
        there are none. Their messages and marginals are set to 0, so they add nothing to any sum.
    """

    def __init__(
        self,
        scores: Tensor,
        transitions: Tensor,
        mask: Tensor,
        recursions: Callable[[Tensor, Tensor, Tensor], Recursions],
    ) -> None:
        self.mask = mask
        self.shape = scores.shape
        # Shifted so that no factor is above 1. Shape: (batch, length) and (..., 1, 1)
        self._highest = scores.amax(-1)
        self._highest_transition = transitions.amax((-2, -1), keepdim=True)
        factors = (scores - self._highest.unsqueeze(-1)).exp_()
        self._transition_factors = (transitions - self._highest_transition).exp_()
        self._recursions = recursions(factors, self._transition_factors, mask)

        # Shape: (batch, length, labels), (batch, length) and (batch,)
        self.marginals, self._norms, least = self._recursions.posteriors(scores > IMPOSSIBLE)
        self.unreliable: Optional[Tensor] = None
        # Where nothing at all is possible the norm is 0.
        suspect = (least < SMALLEST_PRODUCT) | (self._norms < SMALLEST_PRODUCT).any(1)
        if suspect.any():
            self.unreliable = suspect.nonzero().squeeze(1)
            self._recursions.clear(self.unreliable)
            self.marginals[self.unreliable] = 0
            self._norms[self.unreliable] = 1

    @cached_property
    def log_partition(self) -> Tensor:
        """`(batch,)`."""
        # Shape: (batch, 1)
        last = (self.mask.sum(1) - 1).unsqueeze(1)
        return (
            self._recursions.alpha.sum(-1).gather(1, last).squeeze(1).log()
            + self._recursions.log_scales
            + (self._highest * self.mask).sum(1)
            + (per_position(self._highest_transition).flatten(1) * self.mask[:, 1:]).sum(1)
        )

    @property
    def onward(self) -> Tensor:
        """`(batch, length, labels)`: see `TorchRecursions`."""
        return self._recursions.onward

    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        return self._pairs(self._prefixes(self._recursions.alpha), self.onward)

    def transition_counts(self) -> Tensor:
        """`(batch, labels, labels)`: how often each transition is expected in a sentence."""
        if self._transition_factors.dim() == 4:
            return self.pair_marginals().sum(1)
        return self._counts(self._prefixes(self._recursions.alpha), self.onward)

    def weighted_expectations(self, weights: Tensor) -> Tuple[Tensor, Tensor]:
        """
        The marginals `(batch, length, labels)` and the expected transitions, in the shape of the
        transitions, of sentences with weights `(batch,)`.
        """
        # Shape: (batch, 1, 1)
        weights = weights.view(-1, 1, 1)
        prefixes = self._prefixes(self._recursions.alpha) * weights
        return self.marginals * weights, self._expected_transitions(prefixes, self.onward)

    def jvp(self, scores: Tensor, transitions: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        """
        The tangents of the expectations, given those of the log potentials: a product with the
        Hessian of log Z.

        # Parameters

        scores : `Tensor`
            `(batch, length, labels)`.
        transitions : `Tensor`, optional
            `(batch, labels, labels)`, the same at all positions, or
            `(batch, length - 1, labels, labels)`.

        # Returns

        `Tuple[Tensor, Tensor]`
            The tangents of the marginals, `(batch, length, labels)`, and of the expected
            transitions, in the shape of the transitions.
        """
        alpha, beta = self._recursions.alpha, self._recursions.beta
        scores = scores * self.mask.unsqueeze(-1)
        alpha_tangents, beta_tangents, onward_tangents = self._recursions.jvp(scores, transitions)
        marginals = (alpha_tangents * beta).addcmul_(alpha, beta_tangents)
        marginals = marginals.div_(self._norms.unsqueeze(-1))
        # Shape: (batch, length, 1); the tangent of log Z, once for each position
        log_z_tangents = marginals.sum(-1, keepdim=True)
        marginals = marginals.addcmul_(self.marginals, log_z_tangents, value=-1)
        marginals = marginals.mul_(self.mask.unsqueeze(-1))

        prefixes = self._prefixes(alpha)
        prefix_tangents = self._prefixes(alpha_tangents) - prefixes * log_z_tangents[:, :-1]
        pairs = self._expected_transitions(prefix_tangents, self.onward)
        pairs += self._expected_transitions(prefixes, onward_tangents)
        if transitions is not None:
            pairs += self._weighted_transitions(prefixes, transitions)
        return marginals, pairs

    def _prefixes(self, alpha: Tensor) -> Tensor:
        """
        `(batch, length - 1, labels)`: alpha normalised such that `_pairs` are probabilities; 0
        where the next token is masked.
        """
        return alpha[:, :-1] * (self.mask[:, 1:] / self._norms[:, :-1]).unsqueeze(-1)

    def _pairs(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        """`(batch, length - 1, labels, labels)`."""
        factors = per_position(self._transition_factors)
        return prefixes.unsqueeze(-1) * factors * onward[:, 1:].unsqueeze(2)

    def _counts(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        """`(batch, labels, labels)`: `_pairs` summed over positions."""
        return self._transition_factors * torch.bmm(prefixes.transpose(1, 2), onward[:, 1:])

    def _expected_transitions(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        """`_pairs` summed to the shape of the transitions."""
        if self._transition_factors.dim() == 4:
            return self._pairs(prefixes, onward)
        if self._transition_factors.dim() == 3:
            return self._counts(prefixes, onward)
        # One product over all sentences. Shape: (labels, labels)
        products = prefixes.flatten(0, 1).T @ onward[:, 1:].flatten(0, 1)
        return self._transition_factors * products

    def _weighted_transitions(self, prefixes: Tensor, weights: Tensor) -> Tensor:
        """
        The same, each pair weighted: weights `(batch, labels, labels)` or
        `(batch, length - 1, labels, labels)`.
        """
        dim = self._transition_factors.dim()
        if dim == 4 or weights.dim() == 4:
            # Shape: (batch, length - 1, labels, labels)
            weighted = self._pairs(prefixes, self.onward) * per_position(weights)
            if dim == 4:
                return weighted
            weighted = weighted.sum(1)
        else:
            weighted = self._counts(prefixes, self.onward) * weights
        # Shape: (batch, labels, labels) -> (labels, labels) for one matrix
        return weighted.sum(0) if dim == 2 else weighted
