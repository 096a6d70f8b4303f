"""The recursions of forward-backward in probability space, in plain PyTorch, on any device."""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor

# Below this numbers may have lost digits to the end of the range of float64.
SMALLEST_SCALE = 1e-290
# Messages are rescaled before they can have shrunk by more than exp(-_SHRINKAGE).
_SHRINKAGE = 50.0


class Recursions:
    """
    The messages of the forward and of the backward recursion, as numbers and not as logarithms.
    Those of a position have an arbitrary common scale. Both recursions run in one loop: the
    backward one is the forward one over the reversed sentences, with the transposed transitions.

    # Parameters

    potentials : `Tensor`
        `(batch, length, labels)`, float64: exponentials of scores.
    steps : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64: exponentials of transitions.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.

    # Attributes

    alpha, beta, onward : `Tensor`
        `(batch, length, labels)`: the forward messages; the backward messages, which are the step
        applied to what is onward of the next token; and these times the potentials, but for a
        scale. Any number where masked.
    log_scales : `Tensor`
        `(batch,)`: the logarithm of what the last forward message has been divided by.
    """

    def __init__(self, potentials: Tensor, steps: Tensor, mask: Tensor) -> None:
        self.shape = potentials.shape
        batch, length, _ = self.shape
        self._steps = steps
        self._mask = mask
        last = mask.sum(1, keepdim=True) - 1
        rows = torch.arange(batch, device=mask.device).unsqueeze(1)
        positions = torch.arange(length, device=mask.device).unsqueeze(0)
        # Of each sentence, its positions from the last to the first; padding stays where it is.
        self._reversed = torch.where(mask, last - positions, positions)
        # Shape: (length, 2, batch): where a step of either recursion finds its token.
        forth, back = rows * length + positions, rows * length + self._reversed
        self._sources = torch.stack([forth.T, back.T], dim=1).reshape(-1)
        # Shape: (batch * length,): where a token finds its step in either recursion.
        self._forward_steps = (positions * (2 * batch) + rows).reshape(-1)
        self._backward_steps = (self._reversed * (2 * batch) + batch + rows).reshape(-1)

        self._matrices = self._both_directions(steps)
        self._emitted = self._to_steps(potentials)
        self._before = torch.empty_like(self._emitted)
        self._after = torch.empty_like(self._emitted)
        interval = _rescaling_interval(potentials, steps)
        log_scales = self._run(interval)
        rescaled = torch.div(last.T, interval, rounding_mode="floor")
        self.log_scales = log_scales.gather(0, rescaled).squeeze(0)
        self.alpha, self.beta, self.onward = self._of_tokens(self._before, self._after)

    def posteriors(self, possible: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """
        # Parameters

        possible : `Tensor`
            `(batch, length, labels)`, bool: the labels that nothing forbids.

        # Returns

        `Tuple[Tensor, Tensor, Tensor]`
            Of every label alpha * beta, normalised, `(batch, length, labels)`, 0 where masked; the
            norms, `(batch, length)`, 1 where masked; and the least of the products before that of
            labels that are possible, `(batch,)`.
        """
        masked = ~self._mask
        products = (self.alpha * self.beta).masked_fill_(masked.unsqueeze(-1), 0)
        norms = products.sum(-1).masked_fill_(masked, 1)
        counted = possible & self._mask.unsqueeze(-1)
        least = products.masked_fill(~counted, torch.inf).flatten(1).amin(1)
        return products.div_(norms.unsqueeze(-1)), norms, least

    def forget(self, rows: Tensor) -> None:
        """Makes all messages of these sentences 0."""
        for messages in (self._before, self._after):
            messages.view(self.shape[1], 2, *self.shape[::2])[:, :, rows] = 0
        for messages in (self.alpha, self.beta, self.onward):
            messages[rows] = 0

    def moved(self, scores: Tensor, transitions: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
        """
        How alpha, beta and onward change as the potentials move in a direction.

        # Parameters

        scores : `Tensor`
            `(batch, length, labels)`: the direction of the scores; 0 where masked.
        transitions : `Tensor`, optional
            The direction of the transitions: `(batch, labels, labels)`, the same at all positions,
            or `(batch, length - 1, labels, labels)`.
        """
        length = self.shape[1]
        moved_before = torch.zeros_like(self._before)
        # What a step adds by moving itself, not by what came before: to `after` and to `before`.
        moved_after = self._to_steps(scores).mul_(self._after)
        own_before = None
        if transitions is not None and length > 1:
            own_before = self._moved_steps(transitions).unbind(0)
        before, after, emitted = (x.unbind(0) for x in (moved_before, moved_after, self._emitted))
        for i in range(1, length):
            if own_before is None:
                torch.bmm(after[i - 1], self._matrices[i - 1], out=before[i])
            else:
                torch.baddbmm(own_before[i - 1], after[i - 1], self._matrices[i - 1], out=before[i])
            after[i].addcmul_(before[i], emitted[i])
        return self._of_tokens(moved_before, moved_after)

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
            if interval == 1:
                # Rescaled, it would no longer show that it has lost digits.
                after[i].masked_fill_(after[i] < SMALLEST_SCALE, 0)
            if i % interval == 0:
                scale = after[i].sum(-1, keepdim=True)
                # Where nothing is possible there is nothing to rescale.
                scale.masked_fill_(scale < SMALLEST_SCALE, 1)
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
        own = self._steps.dim() > 2
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

    def _moved_steps(self, direction: Tensor) -> Tensor:
        """What either recursion gains at each step as the transitions move in a direction."""
        batch, length, labels = self.shape
        if direction.dim() == 4 or self._steps.dim() == 4:
            moves = by_position(self._steps) * by_position(direction)
            matrices = self._both_directions(moves.expand(batch, length - 1, labels, labels))
            after = self._after[:-1].reshape(length - 1, 2 * batch, 1, labels)
            gained = torch.stack([torch.bmm(x, m) for x, m in zip(after, matrices, strict=True)])
        else:
            moves = self._steps * direction
            after = self._after[:-1].view(length - 1, 2, batch, labels)
            forth = torch.bmm(after[:, 0].transpose(0, 1), moves)
            back = torch.bmm(after[:, 1].transpose(0, 1), moves.transpose(1, 2))
            gained = torch.stack([forth, back], dim=1).permute(2, 1, 0, 3)
        return gained.reshape(self._before[1:].shape)


def by_position(transitions: Tensor) -> Tensor:
    """Of whatever shape -> one that broadcasts to `(batch, length - 1, labels, labels)`."""
    if transitions.dim() == 2:
        return transitions[None, None]
    return transitions if transitions.dim() == 4 else transitions.unsqueeze(1)


def _rescaling_interval(potentials: Tensor, steps: Tensor) -> int:
    """How many steps the messages can do without being rescaled."""
    # A step can make messages larger too, by as much as the number of labels.
    span = math.log(potentials.size(-1)) + 1
    for factors in (potentials, steps):
        if factors.numel():
            # None is above 1.
            lowest = factors.masked_fill(factors == 0, 1).amin()
            span = span - lowest.log().nan_to_num(0).item()
    return max(int(_SHRINKAGE / span), 1)
