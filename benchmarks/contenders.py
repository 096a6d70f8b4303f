"""What `inference.py` measures: the interface of a contender, and ours with each of our engines."""

from contextlib import contextmanager
from typing import Any, Callable, ClassVar, Iterator, List, NamedTuple, Tuple, Union

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.linear_chain import inference as engines
from structkd_allennlp.modules.linear_chain.autograd import Scores, as_log_potentials
from structkd_allennlp.modules.linear_chain.log_space import LogSpaceForwardBackward

K = 10

Paths = Union[Tensor, List[Any]]
"""`(batch, k, length)`, padded, or nested lists of these, without padding."""


class Potentials(NamedTuple):
    """`(batch, length, labels)`, `(labels, labels)` as `[from, to]`, and twice `(labels,)`."""

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor

    def leaves(self) -> "Potentials":
        """The same as leaves of a graph of gradients."""
        return Potentials(*(tensor.detach().clone().requires_grad_() for tensor in self))


class UnsupportedError(Exception):
    """What a library does not have, or not at this size."""


class Contender:
    """A chain in the form of one library. Every call computes from scratch."""

    name: ClassVar[str]

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        self.potentials = potentials.leaves()
        self.mask = mask
        self.lengths = mask.sum(1)

    def run(self, operation: Callable[[], Any]) -> Any:
        return operation()

    def leaves(self) -> List[Tensor]:
        """What gradients are taken of, the emissions and the transitions first."""
        return list(self.potentials)

    def log_prob(self, paths: Tensor) -> Tensor:
        """`(batch, k, length)` -> `(batch, k)`, differentiable."""
        raise NotImplementedError

    def marginals(self) -> Tensor:
        """`(batch, length, labels)`, without a graph of gradients."""
        raise NotImplementedError

    def log_marginals(self) -> Tensor:
        """`(batch, length, labels)`, differentiable; finite where masked."""
        raise NotImplementedError

    def best(self) -> Paths:
        """The best path of each sentence, as lists of labels or `(batch, length)`."""
        raise UnsupportedError("has no decoding")

    def k_best(self) -> Paths:
        """The K best."""
        raise UnsupportedError("has no k-best decoding")

    def cross_entropy(self, student: Any) -> Tensor:
        """`(batch,)`: of this chain, without gradient, and another, differentiable."""
        raise UnsupportedError("has no cross-entropy of two chains")


class Ours(Contender):
    name = "structkd_allennlp"

    def _chain(self) -> LinearChain:
        emissions, transitions, start, end = self.potentials
        return LinearChain(emissions, transitions, self.mask, start, end)

    def log_prob(self, paths: Tensor) -> Tensor:
        return self._chain().log_prob(paths)

    @torch.no_grad()
    def marginals(self) -> Tensor:
        return self._chain().marginals

    def log_marginals(self) -> Tensor:
        return self._chain().log_marginals

    def best(self) -> Paths:
        # As lists, which is what the others return.
        return self._chain().k_best(1).paths[:, 0].tolist()

    def k_best(self) -> Paths:
        paths, scores = self._chain().k_best(K)
        scores.tolist()
        return paths.tolist()

    def cross_entropy(self, student: Any) -> Tensor:
        return self._chain().detach().cross_entropy(student._chain())


class WithoutNumba(Ours):
    """What ours is where Numba is not installed."""

    name = "without-numba"

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        if engines.backend_for(mask.device) is engines.TORCH:
            raise UnsupportedError("is what ours is here")
        super().__init__(potentials, mask)

    def run(self, operation: Callable[[], Any]) -> Any:
        with backend(engines.TORCH):
            return operation()


@contextmanager
def backend(chosen: engines.Backend) -> Iterator[None]:
    """Every chain is computed by this backend, whatever its device."""
    own = engines.backend_for
    engines.backend_for = lambda device: chosen
    try:
        yield
    finally:
        engines.backend_for = own


class LogSpace(Contender):
    """What ours is for sentences whose scores span more than float64 can hold as factors."""

    name = "log-space"

    def _chain(self) -> Tuple[engines.Inference, LogSpaceForwardBackward]:
        emissions, transitions, start, end = self.potentials
        scores = Scores.apply(emissions, self.mask, start, end)
        chain = engines.Inference(scores, as_log_potentials(transitions), self.mask)
        return chain, LogSpaceForwardBackward(chain.scores, chain.transitions, chain.mask)

    def log_prob(self, paths: Tensor) -> Tensor:
        chain, log_space = self._chain()
        return chain.score(paths) - log_space.log_partition.unsqueeze(1)

    @torch.no_grad()
    def marginals(self) -> Tensor:
        return self._chain()[1].marginals.to(self.potentials.emissions.dtype)

    def log_marginals(self) -> Tensor:
        return self._chain()[1].log_marginals.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    def best(self) -> Paths:
        raise UnsupportedError("decodes as ours does")

    def k_best(self) -> Paths:
        raise UnsupportedError("decodes as ours does")

    def cross_entropy(self, student: Any) -> Tensor:
        with torch.no_grad():
            _, teacher = self._chain()
            expectations = teacher.marginals, teacher.pair_marginals.sum(1)
        chain, log_space = student._chain()
        return log_space.log_partition - chain.expected_score(*expectations)
