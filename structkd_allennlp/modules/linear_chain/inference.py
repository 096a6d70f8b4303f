"""
Inference over the log potentials of a linear chain. This is the one place that chooses who computes
what: a backend by the device, and log space for the sentences that need it.
"""

from typing import Callable, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import numba_backend, torch_backend
from structkd_allennlp.modules.linear_chain.autograd import (
    Expectations,
    Logarithm,
    LogPartition,
    PairForm,
)
from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.log_space import LogSpaceForwardBackward
from structkd_allennlp.modules.linear_chain.messages import ForwardBackward, Recursions
from structkd_allennlp.modules.linear_chain.torch_backend import per_position


class Backend(NamedTuple):
    """The loops over tokens: `torch_backend` documents each of them."""

    recursions: Callable[[Tensor, Tensor, Tensor], Recursions]
    best_paths: Callable[[Tensor, Tensor, Tensor, int], Tuple[Tensor, Tensor]]
    sample_paths: Callable[[Tensor, Tensor, Tensor, int], Tensor]


TORCH = Backend(torch_backend.TorchRecursions, torch_backend.best_paths, torch_backend.sample_paths)
NUMBA = TORCH._replace(
    recursions=numba_backend.NumbaRecursions, best_paths=numba_backend.best_paths
)

MANY_PATHS = 500
"""Of more paths than these PyTorch finds the best in less time than Numba."""


def backend_for(device: torch.device) -> Backend:
    """The fastest backend for the device. For another, write a file and choose it here."""
    return NUMBA if device.type == "cpu" and numba_backend.IS_AVAILABLE else TORCH


class Inference:
    """
    What can be computed from log potentials, all in float64, differentiable, and computed when it
    is first needed.

    # Parameters

    scores : `Tensor`
        `(batch, length, labels)`, float64: log potentials of labels; finite, 0 where masked.
    transitions : `Tensor`
        `(labels, labels)`, `(batch, labels, labels)` or `(batch, length - 1, labels, labels)`,
        float64: log potentials of transitions; finite.
    mask : `Tensor`
        `(batch, length)`, bool, contiguous from the left.
    """

    def __init__(self, scores: Tensor, transitions: Tensor, mask: Tensor) -> None:
        self.scores = scores
        self.transitions = transitions
        self.mask = mask
        self._messages: Optional[ForwardBackward] = None
        # By whether they carry a graph: those computed under no_grad must not serve a later loss.
        self._log_space: Dict[bool, LogSpaceForwardBackward] = {}

    def detach(self) -> "Inference":
        """The same without a gradient to the log potentials."""
        detached = Inference(self.scores.detach(), self.transitions.detach(), self.mask)
        detached._messages = self._messages
        return detached

    @property
    def pair_form(self) -> PairForm:
        """The form of pairs that an expectation of the transitions needs."""
        return PairForm.BY_POSITION if self.transitions.dim() == 4 else PairForm.SUMMED

    @property
    def messages(self) -> ForwardBackward:
        if self._messages is None:
            recursions = backend_for(self.mask.device).recursions
            with torch.no_grad():
                self._messages = ForwardBackward(
                    self.scores, self.transitions, self.mask, recursions
                )
        return self._messages

    @property
    def _unreliable(self) -> Optional[Tuple[Tensor, LogSpaceForwardBackward]]:
        """The rows of the sentences that need log space, and these sentences in it, if any."""
        rows = self.messages.unreliable
        if rows is None:
            return None
        with_graph = torch.is_grad_enabled()
        if with_graph not in self._log_space:
            transitions = self.transitions
            if transitions.dim() > 2:
                transitions = transitions[rows]
            self._log_space[with_graph] = LogSpaceForwardBackward(
                self.scores[rows], transitions, self.mask[rows]
            )
        return rows, self._log_space[with_graph]

    @property
    def log_partition(self) -> Tensor:
        """`(batch,)`: finite, and below `IMPOSSIBLE` where every sequence is forbidden."""
        log_z: Tensor = LogPartition.apply(self.scores, self.transitions, self.messages)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            log_z = log_z.index_copy(0, rows, log_space.log_partition)
        return log_z

    def expectations(self, form: PairForm) -> Tuple[Tensor, Tensor]:
        """See `autograd.Expectations`."""
        marginals, pairs = Expectations.apply(self.scores, self.transitions, self.messages, form)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            marginals = marginals.index_copy(0, rows, log_space.marginals)
            if form is not PairForm.NONE:
                own = log_space.pair_marginals
                # Shape: (n, labels, labels) or (n, length - 1, labels, labels)
                own = own.sum(1) if form is PairForm.SUMMED else own
                pairs = pairs.index_copy(0, rows, own)
        return marginals, pairs

    @property
    def log_marginals(self) -> Tensor:
        """`(batch, length, labels)`: `FORBIDDEN` for an impossible label, 0 where masked."""
        marginals, _ = Expectations.apply(
            self.scores, self.transitions, self.messages, PairForm.NONE
        )
        log_q: Tensor = Logarithm.apply(marginals)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            own = log_space.log_marginals
            log_q = log_q.index_copy(0, rows, own.masked_fill(own < IMPOSSIBLE, FORBIDDEN))
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    def expected_score(self, marginals: Tensor, pairs: Tensor) -> Tensor:
        """`(batch,)`: the expected score of a label sequence under any chain's expectations."""
        transitions = self.transitions
        if pairs.dim() == 4:
            # Shape: broadcasts to (batch, length - 1, labels, labels)
            transitions = per_position(transitions)
        return (marginals * self.scores).sum((1, 2)) + (pairs * transitions).flatten(1).sum(1)

    def score(self, paths: Tensor) -> Tensor:
        """`(batch, k, length)` -> `(batch, k)`: the scores of label sequences, unnormalised."""
        batch, length, labels = self.scores.shape
        # Shape: (batch, 1, length)
        mask = self.mask.unsqueeze(1)
        paths = paths.masked_fill(~mask, 0)
        tokens = torch.arange(batch * length, device=paths.device).view(batch, 1, length)
        # Shape: (batch, k, length)
        scores = _at(self.scores, tokens * labels + paths)
        # Shape: (batch, k, length - 1)
        pairs = paths[:, :, :-1] * labels + paths[:, :, 1:]
        if self.transitions.dim() > 2:
            # Shape: (batch, 1, length - 1) or (batch, 1, 1); which of all matrices in a row
            count = self.transitions.numel() // labels**2
            matrices = torch.arange(count, device=paths.device).view(batch, 1, -1)
            pairs = pairs + matrices * labels**2
        transitions = _at(self.transitions, pairs)
        return (scores * mask).sum(-1) + (transitions * mask[:, :, 1:]).sum(-1)

    def best_paths(self, k: int) -> Tuple[Tensor, Tensor]:
        """See `torch_backend.best_paths`."""
        # Numba keeps the best in order by insertion, which many take too long for.
        backend = TORCH if k > MANY_PATHS else backend_for(self.mask.device)
        search = backend.best_paths
        return search(self.scores, self.transitions, self.mask, k)

    @torch.no_grad()
    def sample_paths(self, n: int) -> Tensor:
        """See `torch_backend.sample_paths`."""
        log_onward = self.messages.onward.log().clamp(min=FORBIDDEN)
        if self._unreliable is not None:
            rows, log_space = self._unreliable
            log_onward = log_onward.index_copy(0, rows, log_space.onward)
        draw = backend_for(self.mask.device).sample_paths
        return draw(log_onward, self.transitions, self.mask, n)


def _at(tensor: Tensor, positions: Tensor) -> Tensor:
    """The numbers at positions in the flattened tensor, in the shape of the positions."""
    return tensor.reshape(-1).gather(0, positions.reshape(-1)).view(positions.shape)
