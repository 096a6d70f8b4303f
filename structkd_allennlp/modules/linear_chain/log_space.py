"""Forward-backward in log space: slow, and exact however far the scores of a sentence span."""

from functools import cached_property
from typing import List, Tuple

import torch
from torch import Tensor


class LogSpaceForwardBackward:
    """
    Forward-backward by logsumexp and plain autograd. It computes the sentences whose scores span
    more than float64 can hold as factors, and is the reference that the fast code is tested
    against. With scores `s_i` of the labels at position i, transitions `t` and labels x, y:

        alpha_1 = s_1      alpha_i(y) = s_i(y) + logsumexp_x(alpha_{i-1}(x) + t(x, y))
        beta_n = 0         beta_i(x) = logsumexp_y(t(x, y) + s_{i+1}(y) + beta_{i+1}(y))

    Messages are shifted so that their maximum is 0, so rounding errors do not grow with the length.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`: log potentials; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`: log
        potentials; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    """

    def __init__(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.scores = scores
        self.transitions = transitions
        self.mask = mask
        # Shape: (batch, length, labels) and (batch, length, labels), (batch,)
        self._alpha = self._run_forward()
        self._beta, self._shifts = self._run_backward()

    @property
    def onward(self) -> Tensor:
        """`(batch, length, labels)`: `s_i + beta_i`, up to a constant per position."""
        return self.scores + self._beta

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`."""
        return torch.logsumexp(self.onward[:, 0], dim=-1) + self._shifts

    @cached_property
    def log_marginals(self) -> Tensor:
        """`(batch, length, labels)`: undefined where masked."""
        return torch.log_softmax(self._alpha + self._beta, dim=-1)

    @property
    def marginals(self) -> Tensor:
        """`(batch, length, labels)`: 0 where masked."""
        return self.log_marginals.exp() * self.mask.unsqueeze(-1)

    @property
    def pair_marginals(self) -> Tensor:
        """`(batch, length - 1, labels, labels)`: 0 where masked."""
        transitions = self.transitions
        if transitions.dim() == 3:
            # Shape: (batch, 1, labels, labels)
            transitions = transitions.unsqueeze(1)
        # Shape: (batch, length - 1, labels, labels); log q(y_i+1 | y_i, x)
        conditionals = torch.log_softmax(transitions + self.onward[:, 1:].unsqueeze(2), dim=-1)
        log_pairs = self.log_marginals[:, :-1].unsqueeze(-1) + conditionals
        return log_pairs.exp() * self.mask[:, 1:, None, None]

    def _transition(self, position: int) -> Tensor:
        """From `position` to the next: `(labels, labels)` or `(batch, labels, labels)`."""
        return self.transitions[:, position] if self.transitions.dim() == 4 else self.transitions

    def _run_forward(self) -> Tensor:
        """`(batch, length, labels)`; past the end of a sentence its last message is repeated."""
        messages: List[Tensor] = [_shifted(self.scores[:, 0])[0]]
        for i in range(1, self.scores.size(1)):
            # Shape: (batch, labels from, labels to) -> (batch, labels)
            inner = messages[-1].unsqueeze(2) + self._transition(i - 1)
            message, _ = _shifted(torch.logsumexp(inner, dim=1) + self.scores[:, i])
            here = self.mask[:, i].unsqueeze(-1)
            messages.append(torch.where(here, message, messages[-1]))
        return torch.stack(messages, dim=1)

    def _run_backward(self) -> Tuple[Tensor, Tensor]:
        """`(batch, length, labels)`, 0 from a sentence's last token on; shifts `(batch,)`."""
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
    """`(batch, labels)` with its maximum at 0, and by how much it was shifted, `(batch,)`."""
    # The shift cancels out of every result, so it needs no gradient.
    shift = message.detach().amax(-1)
    return message - shift.unsqueeze(-1), shift
