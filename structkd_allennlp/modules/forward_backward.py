"""
Forward-backward in probability space, and the closed forms of its derivatives.

A step of the recursion is a matrix product and a multiplication instead of a logsumexp over all
pairs of labels, and nothing is recorded for autograd: the gradient of log Z is the marginals, and
the gradient through the marginals, a product with the Hessian of log Z, is one more pass of the
same recursion in forward mode (Pearlmutter, 1994; Li & Eisner, 2009). All of it is in float64.
"""

import math
from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.log_space import IMPOSSIBLE

# Messages are rescaled before they can have shrunk by more than exp(-_SHRINKAGE).
_SHRINKAGE = 50.0
# Products of messages below this may have lost digits to the end of the range of float64.
_SMALLEST = 1e-200


class ForwardBackward:
    """
    The messages of the forward and of the backward recursion of a batch of sentences, as numbers
    and not as logarithms. Those of a position have an arbitrary common scale, which every use of
    them divides out. Both recursions run in one loop: the backward one is the forward one over the
    reversed sentences, with the transposed transitions.

    No gradient goes through here: see `LogPartition` and `Expectations`.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`, float64; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.

    # Attributes

    log_partition : `Tensor`
        `(batch,)`.
    marginals : `Tensor`
        `(batch, length, labels)`. 0 where masked.
    unreliable : `Optional[Tensor]`
        `(n,)`, long: the sentences whose scores span more than float64 holds, such that a label
        that is possible has got a probability of 0 or nearly so; `None` where there are none. Their
        messages and marginals are all 0, so that they add nothing to any sum.
    """

    def __init__(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.shape = batch, length, labels = scores.shape
        lengths = mask.sum(1)

        highest = scores.amax(-1)
        potentials = (scores - highest.unsqueeze(-1)).exp_()
        highest_step = transitions.amax((-2, -1), keepdim=True)
        self.steps = (transitions - highest_step).exp_()

        rows = torch.arange(batch, device=mask.device).unsqueeze(1)
        positions = torch.arange(length, device=mask.device).unsqueeze(0)
        # Of each sentence, its positions from the last to the first; padding stays where it is.
        self._reversed = torch.where(mask, lengths.unsqueeze(1) - 1 - positions, positions)
        # Shape: (length, 2, batch): where a step of either recursion finds its token.
        forth, back = rows * length + positions, rows * length + self._reversed
        self._sources = torch.stack([forth.T, back.T], dim=1).reshape(-1)
        # Shape: (batch * length,): where a token finds its step in either recursion.
        self._forward_steps = (positions * (2 * batch) + rows).reshape(-1)
        self._backward_steps = (self._reversed * (2 * batch) + batch + rows).reshape(-1)

        self._matrices = self._both_directions(self.steps)
        self._emitted = self._to_steps(potentials)
        self._before = torch.empty_like(self._emitted)
        self._after = torch.empty_like(self._emitted)
        interval = _rescaling_interval(scores, highest, transitions)
        log_scales = self._run(interval)

        self.alpha, self.beta, self.onward = self._of_tokens(self._before, self._after)
        products = self.alpha * self.beta
        # Shape: (batch, length)
        self.norm = products.sum(-1).masked_fill_(~mask, 1)
        suspect = (products < _SMALLEST) & (scores > IMPOSSIBLE) & mask.unsqueeze(-1)
        suspect_rows = suspect.view(batch, -1).any(1)
        self.unreliable: Optional[Tensor] = None
        if suspect_rows.any():
            self.unreliable = suspect_rows.nonzero().squeeze(1)
            for messages in (self._before, self._after):
                messages.view(length, 2, batch, labels)[:, :, self.unreliable] = 0
            for messages in (self.alpha, self.beta, self.onward, products):
                messages[self.unreliable] = 0
            self.norm[self.unreliable] = 1
        self.marginals = products.div_(self.norm.unsqueeze(-1)).mul_(mask.unsqueeze(-1))

        last = (lengths - 1).unsqueeze(1)
        final = self.alpha.sum(-1).gather(1, last).squeeze(1).log()
        rescaled = torch.div(last.squeeze(1), interval, rounding_mode="floor")
        self.log_partition = (
            final
            + log_scales.gather(0, rescaled.unsqueeze(0)).squeeze(0)
            + (highest * mask).sum(1)
            + (_by_position(highest_step).flatten(1) * mask[:, 1:]).sum(1)
        )

    def _run(self, interval: int) -> Tensor:
        """
        Fills the messages. Returns the logarithm of what those of the forward recursion have been
        divided by after 0, 1, ... times, `(times + 1, batch)`.
        """
        batch, length, _ = self.shape
        emitted, before, after = (x.unbind(0) for x in (self._emitted, self._before, self._after))
        before[0].fill_(1)
        after[0].copy_(emitted[0])
        scales = [torch.ones_like(after[0][..., :1])]
        for i in range(1, length):
            torch.bmm(after[i - 1], self._matrices[i - 1], out=before[i])
            torch.mul(before[i], emitted[i], out=after[i])
            if i % interval == 0:
                scale = after[i].sum(-1, keepdim=True)
                # Where nothing is possible there is nothing to rescale.
                scale.masked_fill_(scale == 0, 1)
                after[i].div_(scale)
                # From now on as if it had been part of the potentials.
                emitted[i].div_(scale)
                scales.append(scale)
        forward_scales = torch.stack(scales).view(-1, 2, batch)[:, 0]
        return forward_scales.log().cumsum(0)

    def _both_directions(self, matrices: Tensor) -> List[Tensor]:
        """For each step of the loop, the matrices that take either recursion one label further."""
        batch, length, labels = self.shape
        if matrices.dim() == 2:
            return [torch.stack([matrices, matrices.T])] * (length - 1)
        if matrices.dim() == 3:
            return [torch.cat([matrices, matrices.transpose(1, 2)])] * (length - 1)
        if length == 1:
            return []
        rows = torch.arange(batch, device=matrices.device).unsqueeze(1)
        # Step i of the reversed sentence goes from its token i to i + 1, so from `_reversed[i]`
        # back to the token before. What lies in the padding is never used.
        back = matrices[rows, (self._reversed[:, :-1] - 1).clamp(min=0)].transpose(-1, -2)
        both = torch.stack([matrices, back]).transpose(1, 2).transpose(0, 1)
        return list(both.reshape(length - 1, 2 * batch, labels, labels).unbind(0))

    def _to_steps(self, of_tokens: Tensor) -> Tensor:
        """`(batch, length, labels)` -> for `_run`, `(length, ..., labels)`."""
        batch, length, labels = self.shape
        steps = of_tokens.reshape(-1, labels).index_select(0, self._sources)
        # Where sentences have matrices of their own each is a batch of one.
        own = self.steps.dim() > 2
        return steps.view((length, 2 * batch, 1, labels) if own else (length, 2, batch, labels))

    def _of_tokens(self, before: Tensor, after: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The messages alpha, beta and onward, each `(batch, length, labels)`."""
        labels = self.shape[-1]
        return tuple(  # type: ignore[return-value]
            messages.view(-1, labels).index_select(0, steps).view(self.shape)
            for messages, steps in (
                (after, self._forward_steps),
                (before, self._backward_steps),
                (after, self._backward_steps),
            )
        )

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

    def _prefixes(self, alpha: Tensor) -> Tensor:
        """Forward messages that make probabilities of a product with what lies onward."""
        return alpha[:, :-1] * (self.mask[:, 1:] / self.norm[:, :-1]).unsqueeze(-1)

    def _pairs(self, prefixes: Tensor, onward: Tensor) -> Tensor:
        return prefixes.unsqueeze(-1) * _by_position(self.steps) * onward[:, 1:].unsqueeze(2)

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
        length = self.shape[1]
        scores = scores * self.mask.unsqueeze(-1)
        # What a step adds by moving itself, not by what came before: to `after` and to `before`.
        own_after = self._to_steps(scores).mul_(self._after)
        own_before = None
        if transitions is not None and length > 1:
            own_before = self._moved_steps(transitions).unbind(0)
        moved_before = torch.zeros_like(self._before)
        moved_after = own_after
        before, after, emitted = (x.unbind(0) for x in (moved_before, moved_after, self._emitted))
        for i in range(1, length):
            if own_before is None:
                torch.bmm(after[i - 1], self._matrices[i - 1], out=before[i])
            else:
                torch.baddbmm(own_before[i - 1], after[i - 1], self._matrices[i - 1], out=before[i])
            after[i].addcmul_(before[i], emitted[i])

        alpha, beta, onward = self._of_tokens(moved_before, moved_after)
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
                pairs += self._pairs(prefixes, self.onward) * _by_position(transitions)
            return marginals, pairs
        counts = self._pairs_summed(moved_prefixes, self.onward)
        counts += self._pairs_summed(prefixes, onward)
        if transitions is not None and transitions.dim() == 4:
            counts += (self._pairs(prefixes, self.onward) * transitions).sum(1)
        elif transitions is not None:
            counts += self._pairs_summed(prefixes, self.onward) * transitions
        return marginals, counts.sum(0) if self.steps.dim() == 2 else counts

    def _moved_steps(self, direction: Tensor) -> Tensor:
        """What either recursion gains at each step as the transitions move in a direction."""
        batch, length, labels = self.shape
        if direction.dim() == 4 or self.steps.dim() == 4:
            moves = _by_position(self.steps) * _by_position(direction)
            matrices = self._both_directions(moves.expand(batch, length - 1, labels, labels))
            after = self._after[:-1].reshape(length - 1, 2 * batch, 1, labels)
            gained = torch.stack([torch.bmm(x, m) for x, m in zip(after, matrices, strict=True)])
        else:
            moves = self.steps * direction
            after = self._after[:-1].view(length - 1, 2, batch, labels)
            forth = torch.bmm(after[:, 0].transpose(0, 1), moves)
            back = torch.bmm(after[:, 1].transpose(0, 1), moves.transpose(1, 2))
            gained = torch.stack([forth, back], dim=1).permute(2, 1, 0, 3)
        return gained.reshape(self._before[1:].shape)


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
        # In a function that has a gradient itself, for losses that need a second one.
        marginals, pairs = Expectations.apply(
            scores, transitions, ctx.messages, transitions.dim() == 4
        )
        of_scores = marginals * gradient.view(-1, 1, 1)
        of_pairs = pairs * gradient.view(-1, *[1] * (pairs.dim() - 1))
        return of_scores, of_pairs.sum(0) if transitions.dim() == 2 else of_pairs, None


class Expectations(torch.autograd.Function):
    """
    The marginals `(batch, length, labels)` and the expected transitions, `(batch, labels, labels)`
    summed over positions or `(batch, length - 1, labels, labels)` by position.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        transitions: Tensor,
        messages: ForwardBackward,
        by_position: bool,
    ) -> Tuple[Tensor, Tensor]:
        ctx.save_for_backward(scores, transitions)
        ctx.messages = messages
        ctx.set_materialize_grads(False)
        pairs = messages.pair_marginals() if by_position else messages.transition_counts()
        return messages.marginals.detach(), pairs

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


def _by_position(transitions: Tensor) -> Tensor:
    """Of whatever shape -> one that broadcasts to `(batch, length - 1, labels, labels)`."""
    if transitions.dim() == 2:
        return transitions[None, None]
    return transitions if transitions.dim() == 4 else transitions.unsqueeze(1)


def _rescaling_interval(scores: Tensor, highest: Tensor, transitions: Tensor) -> int:
    """How many steps the messages can do without being rescaled."""
    lowest = scores.masked_fill(scores < IMPOSSIBLE, torch.inf).amin(-1)
    span = (highest - lowest).amax()
    if transitions.numel():
        allowed = transitions > IMPOSSIBLE
        lowest_step = transitions.masked_fill(~allowed, torch.inf).amin()
        span = span + (transitions.amax() - lowest_step).clamp(min=0)
    # A step can make messages larger too, by as much as the number of labels.
    span = span + math.log(scores.size(-1)) + 1
    # Not a number has its own way to be noticed.
    return max(int(_SHRINKAGE / span.nan_to_num(torch.inf).item()), 1)
