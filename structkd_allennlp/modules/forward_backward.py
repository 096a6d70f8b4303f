"""
Forward-backward in probability space, and the closed forms of its derivatives.

A step of the recursion is a matrix product and a multiplication instead of a logsumexp over all
pairs of labels, and nothing is recorded for autograd: the gradient of log Z is the marginals, and
the gradient through the marginals, a product with the Hessian of log Z, is one more pass of the
same recursion in forward mode (Pearlmutter, 1994; Li & Eisner, 2009). All of it is in float64. The
loops over the tokens are compiled, on a CPU with Numba, or else PyTorch's.
"""

from functools import cached_property
from typing import Any, Literal, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.compiled import CompiledRecursions, can_compile
from structkd_allennlp.modules.log_space import IMPOSSIBLE
from structkd_allennlp.modules.recursions import Recursions, by_position

Pairs = Optional[Literal["summed", "by position"]]
"""Whether the expectations of transitions are wanted, and in which form."""

# Products of messages below this may have lost digits to the end of the range of float64.
_SMALLEST = 1e-200


class ForwardBackward:
    """
    log Z and the expectations of a batch of sentences, by the messages of `Recursions`, whose
    arbitrary scales every use divides out. No gradient goes through here: see `LogPartition` and
    `Expectations`.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`, float64; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.

    # Attributes

    marginals : `Tensor`
        `(batch, length, labels)`. 0 where masked.
    unreliable : `Optional[Tensor]`
        `(n,)`, long: the sentences whose scores span more than float64 holds, such that a label
        that is possible has got a probability of 0 or nearly so; `None` where there are none. Their
        messages and marginals are all 0, so that they add nothing to any sum.
    """

    def __init__(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.shape = scores.shape

        self._highest = scores.amax(-1)
        potentials = (scores - self._highest.unsqueeze(-1)).exp_()
        self._highest_step = transitions.amax((-2, -1), keepdim=True)
        self.steps = (transitions - self._highest_step).exp_()

        recursions = CompiledRecursions if can_compile(mask.device) else Recursions
        self._recursions = recursions(potentials, self.steps, mask)

        # Shape: (batch, length, labels), (batch, length) and (batch,)
        self.marginals, self.norm, least = self._recursions.posteriors(scores > IMPOSSIBLE)
        self.unreliable: Optional[Tensor] = None
        # Where nothing at all is possible there is nothing to divide by.
        suspect = (least < _SMALLEST) | (self.norm < _SMALLEST).any(1)
        if suspect.any():
            self.unreliable = suspect.nonzero().squeeze(1)
            self._recursions.forget(self.unreliable)
            self.marginals[self.unreliable] = 0
            self.norm[self.unreliable] = 1

    @cached_property
    def log_partition(self) -> Tensor:
        """`(batch,)`."""
        last = (self.mask.sum(1) - 1).unsqueeze(1)
        return (
            self.alpha.sum(-1).gather(1, last).squeeze(1).log()
            + self._recursions.log_scales
            + (self._highest * self.mask).sum(1)
            + (by_position(self._highest_step).flatten(1) * self.mask[:, 1:]).sum(1)
        )

    @property
    def alpha(self) -> Tensor:
        return self._recursions.alpha

    @property
    def beta(self) -> Tensor:
        return self._recursions.beta

    @property
    def onward(self) -> Tensor:
        return self._recursions.onward

    def transition_counts(self) -> Tensor:
        """
        `(batch, labels, labels)`: how often each transition is expected in a sentence.
        """
        if self.steps.dim() == 4:
            return self.pair_marginals().sum(1)
        return self._pairs_summed(self._prefixes(self.alpha), self.onward)

    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: q(y_i, y_i+1 | x); 0 where masked."""
        return self._pairs(self._prefixes(self.alpha), self.onward)

    def weighted_expectations(self, weights: Tensor) -> Tuple[Tensor, Tensor]:
        """
        The marginals and the expected transitions, in the shape of the chain's transitions, times
        weights of the sentences, `(batch,)`.
        """
        weights = weights.view(-1, 1, 1)
        prefixes = self._prefixes(self.alpha) * weights
        if self.steps.dim() == 4:
            pairs = self._pairs(prefixes, self.onward)
        elif self.steps.dim() == 3:
            pairs = self._pairs_summed(prefixes, self.onward)
        else:
            # Over all sentences at once.
            pairs = self.steps * (prefixes.flatten(0, 1).T @ self.onward[:, 1:].flatten(0, 1))
        return self.marginals * weights, pairs

    def _prefixes(self, alpha: Tensor) -> Tensor:
        """Forward messages that make probabilities of a product with what lies onward."""
        return alpha[:, :-1] * (self.mask[:, 1:] / self.norm[:, :-1]).unsqueeze(-1)

    def _pairs(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        return prefixes.unsqueeze(-1) * by_position(self.steps) * onward[:, 1:].unsqueeze(2)

    def _pairs_summed(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        return self.steps * torch.bmm(prefixes.transpose(1, 2), onward[:, 1:])

    def differential(self, scores: Tensor, transitions: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        """
        How the expectations change as the potentials move in a direction.

        # Parameters

        scores : `Tensor`
            `(batch, length, labels)`: the direction of the scores.
        transitions : `Tensor`, optional
            The direction of the transitions: `(batch, labels, labels)`, the same at all positions,
            or `(batch, length - 1, labels, labels)`.

        # Returns

        `Tuple[Tensor, Tensor]`
            The changes of the marginals, `(batch, length, labels)`, and of the expected
            transitions, in the shape of the chain's transitions.
        """
        scores = scores * self.mask.unsqueeze(-1)
        alpha, beta, onward = self._recursions.moved(scores, transitions)
        marginals = (alpha * self.beta).addcmul_(self.alpha, beta).div_(self.norm.unsqueeze(-1))
        # Shape: (batch, length, 1): the change of log Z, at every position anew.
        change = marginals.sum(-1, keepdim=True)
        marginals = marginals.addcmul_(self.marginals, change, value=-1)
        marginals = marginals.mul_(self.mask.unsqueeze(-1))

        prefixes = self._prefixes(self.alpha)
        moved_prefixes = self._prefixes(alpha) - prefixes * change[:, :-1]
        if self.steps.dim() == 4:
            pairs = self._pairs(moved_prefixes, self.onward) + self._pairs(prefixes, onward)
            if transitions is not None:
                pairs += self._pairs(prefixes, self.onward) * by_position(transitions)
            return marginals, pairs
        counts = self._pairs_summed(moved_prefixes, self.onward)
        counts += self._pairs_summed(prefixes, onward)
        if transitions is not None and transitions.dim() == 4:
            counts += (self._pairs(prefixes, self.onward) * transitions).sum(1)
        elif transitions is not None:
            counts += self._pairs_summed(prefixes, self.onward) * transitions
        return marginals, counts.sum(0) if self.steps.dim() == 2 else counts


class LogPartition(torch.autograd.Function):
    """log Z, `(batch,)`. Its gradient is the expectations."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, messages: ForwardBackward) -> Tensor:
        ctx.save_for_backward(scores, transitions)
        ctx.messages = messages
        return messages.log_partition.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Any, ...]:
        scores, transitions = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return (*ctx.messages.weighted_expectations(gradient), None)
        # By a function that has a gradient itself, for losses that need a second one.
        form: Pairs = "by position" if transitions.dim() == 4 else "summed"
        marginals, pairs = Expectations.apply(scores, transitions, ctx.messages, form)
        of_scores = marginals * gradient.view(-1, 1, 1)
        of_pairs = pairs * gradient.view(-1, *[1] * (pairs.dim() - 1))
        return of_scores, of_pairs.sum(0) if transitions.dim() == 2 else of_pairs, None


class Expectations(torch.autograd.Function):
    """
    The marginals `(batch, length, labels)` and the expected transitions, `(batch, labels, labels)`
    summed over positions, `(batch, length - 1, labels, labels)` by position, or none of them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        transitions: Tensor,
        messages: ForwardBackward,
        pairs: Pairs,
    ) -> Tuple[Tensor, Optional[Tensor]]:
        ctx.save_for_backward(scores, transitions)
        ctx.messages = messages
        ctx.set_materialize_grads(False)
        marginals = messages.marginals.detach()
        if pairs is None:
            return marginals, None
        by_position = pairs == "by position"
        return marginals, messages.pair_marginals() if by_position else messages.transition_counts()

    @staticmethod
    def backward(ctx: Any, of_marginals: Optional[Tensor], of_pairs: Optional[Tensor]) -> Any:
        with torch.no_grad():
            scores = ctx.messages.marginals.new_zeros(()) if of_marginals is None else of_marginals
            gradients = ctx.messages.differential(scores.expand(ctx.messages.shape), of_pairs)
        if torch.is_grad_enabled():
            potentials = ctx.saved_tensors
            gradients = tuple(_NotAgain.apply(x, *potentials) for x in gradients)
        return (*gradients, None, None)


class _NotAgain(torch.autograd.Function):
    """A function of the potentials whose gradient is an error, and not silently 0."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, scores: Tensor, transitions: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise NotImplementedError(
            "there is no second derivative of a loss that is made of marginals or of log "
            "marginals: LogSpaceForwardBackward has one, at the price of time and memory"
        )
