"""Forward-backward in log space: slower, and exact however far the scores of a sentence span."""

from functools import cached_property
from typing import List, Tuple

import torch
from torch import Tensor

# What stands in for a potential of minus infinity. It is finite, so that 0 * FORBIDDEN is 0 and no
# gradient is ever NaN, and so far from any real score that exp() of a difference is exactly 0;
# adding it up over a whole sentence still fits into float32.
FORBIDDEN = -1e30
# A sum of potentials below this has met a forbidden one, also if that was divided by a temperature.
IMPOSSIBLE = FORBIDDEN * 1e-6


class LogSpaceForwardBackward:
    """
    What `forward_backward` computes, by logsumexp and plain autograd: for sentences whose scores
    span more than float64 holds, and as its reference. Messages are shifted at every step, so that
    errors do not grow with the length.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`;
        finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    """

    def __init__(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.scores = scores
        self.transitions = transitions
        self.mask = mask
        # Messages by label, `(batch, length, labels)`, and the sums of shifts, `(batch,)`.
        self._forward = self._run_forward()
        self._backward, self._shifts = self._run_backward()

    @property
    def onward(self) -> Tensor:
        """
        `(batch, length, labels)`: the score of a label and of everything that can follow it, up to
        a constant a position.
        """
        return self.scores + self._backward

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`."""
        return torch.logsumexp(self.onward[:, 0], dim=-1) + self._shifts

    @cached_property
    def log_marginals(self) -> Tensor:
        """`(batch, length, labels)`; anything where masked."""
        return torch.log_softmax(self._forward + self._backward, dim=-1)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`; 0 where masked."""
        return self.log_marginals.exp() * self.mask.unsqueeze(-1)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`; 0 where masked."""
        # The logarithm of q(y_i+1 | y_i, x).
        transitions = self.transitions
        if transitions.dim() == 3:
            transitions = transitions.unsqueeze(1)
        conditionals = torch.log_softmax(transitions + self.onward[:, 1:].unsqueeze(2), dim=-1)
        log_pairs = self.log_marginals[:, :-1].unsqueeze(-1) + conditionals
        return log_pairs.exp() * self.mask[:, 1:, None, None]

    def _transition(self, position: int) -> Tensor:
        """From `position` to the next: `(labels, labels)` or `(batch, labels, labels)`."""
        return self.transitions[:, position] if self.transitions.dim() == 4 else self.transitions

    def _run_forward(self) -> Tensor:
        """After a sentence's end its last message stays."""
        messages: List[Tensor] = [_shifted(self.scores[:, 0])[0]]
        for i in range(1, self.scores.size(1)):
            # Shape: (batch, labels from, labels to) -> (batch, labels)
            inner = messages[-1].unsqueeze(2) + self._transition(i - 1)
            message, _ = _shifted(torch.logsumexp(inner, dim=1) + self.scores[:, i])
            here = self.mask[:, i].unsqueeze(-1)
            messages.append(torch.where(here, message, messages[-1]))
        return torch.stack(messages, dim=1)

    def _run_backward(self) -> Tuple[Tensor, Tensor]:
        """At and after a sentence's last token messages are 0."""
        messages: List[Tensor] = [torch.zeros_like(self.scores[:, 0])]
        total = messages[0][:, 0]
        for i in range(self.scores.size(1) - 2, -1, -1):
            # Shape: (batch, labels from, labels to) -> (batch, labels)
            inner = self._transition(i) + (self.scores[:, i + 1] + messages[-1]).unsqueeze(1)
            message, shift = _shifted(torch.logsumexp(inner, dim=2))
            goes_on = self.mask[:, i + 1]
            messages.append(torch.where(goes_on.unsqueeze(-1), message, messages[-1]))
            total = total + shift * goes_on
        return torch.stack(messages[::-1], dim=1), total


def _shifted(message: Tensor) -> Tuple[Tensor, Tensor]:
    # The shift cancels out of every result, so it needs no gradient.
    shift = message.detach().amax(-1)
    return message - shift.unsqueeze(-1), shift
