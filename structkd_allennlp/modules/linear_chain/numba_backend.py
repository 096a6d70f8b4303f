"""`loops` on tensors, on a CPU."""

from typing import Any, Optional, Tuple

import numpy
import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import loops
from structkd_allennlp.modules.linear_chain.loops import Arrays
from structkd_allennlp.modules.linear_chain.torch_backend import per_position

IS_AVAILABLE = loops.ARE_COMPILED


class NumbaRecursions:
    """`TorchRecursions` on a CPU, with the messages rescaled at every step."""

    def __init__(self, factors: Tensor, transition_factors: Tensor, mask: Tensor) -> None:
        batch, length, _ = factors.shape
        # `empty_like` keeps the order of dimensions in memory, and results are written in place.
        factors = factors.contiguous()
        self.alpha, self.beta, self.onward = (torch.empty_like(factors) for _ in range(3))
        self.log_scales = factors.new_zeros(batch)
        self._chain: Arrays = _arrays(factors, per_position(transition_factors), mask.sum(1))
        self._messages: Arrays = _arrays(self.alpha, self.beta, self.onward)
        # Shape: (2, batch, length); what alpha and onward have been multiplied by
        self._scales = numpy.ones((2, batch, length))
        loops.run(self._chain, self._messages, self._scales, self.log_scales.numpy())

    def posteriors(self, support: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """See `TorchRecursions.posteriors`."""
        posteriors = torch.empty_like(self.alpha)
        # Shape: (batch, length)
        norms = torch.ones_like(self.alpha[..., 0])
        least = torch.full_like(self.log_scales, torch.inf)
        results = _arrays(posteriors, norms, least)
        loops.normalise(self._chain, self._messages, support.numpy(), results)
        return posteriors, norms, least

    def clear(self, rows: Tensor) -> None:
        """See `TorchRecursions.clear`."""
        for messages in (self.alpha, self.beta, self.onward):
            messages[rows] = 0

    def jvp(self, scores: Tensor, transitions: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
        """See `TorchRecursions.jvp`."""
        # Shape: (0, 0, 0, 0) for none
        transition_tangents = numpy.zeros((0,) * 4)
        if transitions is not None:
            transition_tangents = per_position(transitions).contiguous().numpy()
        alpha, beta, onward = (torch.empty_like(self.alpha) for _ in range(3))
        results = _arrays(alpha, beta, onward)
        tangents = scores.contiguous().numpy(), transition_tangents
        loops.jvp(self._chain, self._messages, self._scales, tangents, results)
        return alpha, beta, onward


def best_paths(scores: Tensor, transitions: Tensor, mask: Tensor, k: int) -> Tuple[Tensor, Tensor]:
    """See `torch_backend.best_paths`."""
    batch, length, _ = scores.shape
    paths = torch.zeros(batch, k, length, dtype=torch.long)
    values = scores.new_full((batch, k), -torch.inf)
    chain = _arrays(scores, per_position(transitions), mask.sum(1))
    loops.search(chain, paths.numpy(), values.numpy())
    return paths, values


def _arrays(*tensors: Tensor) -> Any:
    return tuple(tensor.contiguous().numpy() for tensor in tensors)
