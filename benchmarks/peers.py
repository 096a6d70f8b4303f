"""
Other libraries with a linear-chain CRF: AllenNLP, and those of the extra `benchmarks` in setup.py,
as far as they are installed. (`torchcrf` and `TorchCRF` are two modules: a file system that ignores
case holds only one of them.)
"""

import math
from typing import Any, ClassVar, Dict, List, Optional, Tuple

import measure
import torch
from allennlp.modules.conditional_random_field import ConditionalRandomField
from contenders import Contender, K, Paths, Potentials, UnsupportedError
from torch import Tensor
from torch.nn import Parameter

# A library that would need a tensor of more numbers than this is left out of a row.
NUMBERS = 1e8

torchcrf = measure.optional("torchcrf")
TorchCRF = measure.optional("TorchCRF")
torch_struct = measure.optional("torch_struct")
supar = measure.optional("supar")


class Peer(Contender):
    """
    A library with a log-partition function, whose gradient is what its marginals are made of: a
    loss over them takes second derivatives.
    """

    def log_partition(self, emissions: Tensor) -> Tensor:
        raise NotImplementedError

    def score(self, paths: Tensor) -> Tensor:
        """`(batch, k, length)` -> `(batch, k)`, unnormalised."""
        raise NotImplementedError

    def log_prob(self, paths: Tensor) -> Tensor:
        return self.score(paths) - self.log_partition(self.potentials.emissions).unsqueeze(1)

    def marginals(self) -> Tensor:
        emissions = self.potentials.emissions.detach().requires_grad_()
        return torch.autograd.grad(self.log_partition(emissions).sum(), emissions)[0]

    def log_marginals(self) -> Tensor:
        emissions = self.potentials.emissions
        log_z = self.log_partition(emissions).sum()
        (marginals,) = torch.autograd.grad(log_z, emissions, create_graph=True)
        return _log(marginals)


def _log(marginals: Tensor) -> Tensor:
    return marginals.clamp(min=torch.finfo(marginals.dtype).tiny).log()


class ModulePeer(Peer):
    """A library whose chain is a module with parameters, and scores one path of each sentence."""

    # Of the parameters for the transitions, the start and the end.
    parameters: ClassVar[Tuple[str, str, str]]

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        super().__init__(potentials, mask)
        crf = self._module(potentials.emissions.size(2))
        for name, value in zip(self.parameters, self.potentials[1:], strict=True):
            setattr(crf, name, Parameter(value.detach().clone()))
        self.crf = crf.to(mask.device)

    def _module(self, labels: int) -> Any:
        raise NotImplementedError

    def leaves(self) -> List[Tensor]:
        return [self.potentials.emissions, *(getattr(self.crf, name) for name in self.parameters)]

    def score(self, paths: Tensor) -> Tensor:
        # All paths at once, beside copies of the emissions, is faster than one after the other.
        k = paths.size(1)
        emissions = self.potentials.emissions.repeat_interleave(k, dim=0)
        mask = self.mask.repeat_interleave(k, dim=0)
        return self._score_one(emissions, paths.flatten(0, 1), mask).view(-1, k)

    def _score_one(self, emissions: Tensor, paths: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError


class AllenNLP(ModulePeer):
    name = "allennlp"
    parameters = ("transitions", "start_transitions", "end_transitions")

    def _module(self, labels: int) -> Any:
        return ConditionalRandomField(labels)

    def log_partition(self, emissions: Tensor) -> Tensor:
        return self.crf._input_likelihood(emissions, self.crf.transitions, self.mask)

    def _score_one(self, emissions: Tensor, paths: Tensor, mask: Tensor) -> Tensor:
        return self.crf._joint_likelihood(emissions, self.crf.transitions, paths, mask)

    def best(self) -> Paths:
        return [path for path, _ in self.crf.viterbi_tags(self.potentials.emissions, self.mask)]

    def k_best(self) -> Paths:
        found = self.crf.viterbi_tags(self.potentials.emissions, self.mask, top_k=K)
        return [[path for path, _ in one] for one in found]


class PytorchCrf(ModulePeer):
    name = "pytorch-crf"
    parameters = ("transitions", "start_transitions", "end_transitions")

    def _module(self, labels: int) -> Any:
        assert torchcrf is not None
        return torchcrf.CRF(labels)

    def log_partition(self, emissions: Tensor) -> Tensor:
        return self.crf._compute_normalizer(emissions.transpose(0, 1), self.mask.T)

    def _score_one(self, emissions: Tensor, paths: Tensor, mask: Tensor) -> Tensor:
        return self.crf._compute_score(emissions.transpose(0, 1), paths.T, mask.T)

    def best(self) -> Paths:
        return self.crf.decode(self.potentials.emissions.transpose(0, 1), self.mask.T)


class TorchCrf(ModulePeer):
    name = "TorchCRF"
    parameters = ("trans_matrix", "start_trans", "end_trans")

    def _module(self, labels: int) -> Any:
        assert TorchCRF is not None
        return TorchCRF.CRF(labels)

    def log_partition(self, emissions: Tensor) -> Tensor:
        return self.crf._compute_denominator_log_likelihood(emissions, self.mask)

    def _score_one(self, emissions: Tensor, paths: Tensor, mask: Tensor) -> Tensor:
        return self.crf._compute_numerator_log_likelihood(emissions, paths, mask)

    def best(self) -> Paths:
        return self.crf.viterbi_decode(self.potentials.emissions, self.mask)


class TorchStruct(Peer):
    name = "torch-struct"

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        super().__init__(potentials, mask)
        self._parts: Dict[Tuple[int, ...], Tensor] = {}

    def _edges(self, emissions: Tensor) -> Tensor:
        """Its potentials: `(batch, length - 1, labels, labels)` as `[to, from]`."""
        _, transitions, start, end = self.potentials
        positions = torch.arange(emissions.size(1), device=emissions.device)
        is_last = positions == (self.lengths - 1).unsqueeze(1)
        scores = emissions + is_last.unsqueeze(-1) * end
        first = torch.nn.functional.pad(
            (emissions[:, :1] + start).unsqueeze(2), (0, 0, 0, 0, 0, emissions.size(1) - 2)
        )
        return (transitions.T + scores[:, 1:].unsqueeze(-1) + first).contiguous()

    def _distribution(self, emissions: Tensor) -> Any:
        assert torch_struct is not None
        return torch_struct.LinearChainCRF(self._edges(emissions), lengths=self.lengths)

    def log_partition(self, emissions: Tensor) -> Tensor:
        return self._distribution(emissions).partition

    def log_prob(self, paths: Tensor) -> Tensor:
        key = tuple(paths.shape)
        if key not in self._parts:
            # It scores paths in a form of its own. Making that is slow, and can be done ahead.
            assert torch_struct is not None
            labels = self.potentials.emissions.size(2)
            lengths = self.lengths.repeat_interleave(paths.size(1))
            parts = torch_struct.LinearChain.to_parts(paths.flatten(0, 1).cpu(), labels, lengths)
            shaped = parts.view(*paths.shape[:2], *parts.shape[1:]).transpose(0, 1)
            self._parts[key] = shaped.to(paths.device, self.potentials.emissions.dtype).contiguous()
        return self._distribution(self.potentials.emissions).log_prob(self._parts[key]).T

    def best(self) -> Paths:
        # (batch, length - 1, to, from)
        return self._labels(self._distribution(self.potentials.emissions.detach()).argmax)

    def k_best(self) -> Paths:
        batch, length, labels = self.potentials.emissions.shape
        padded = 2 ** math.ceil(math.log2(length - 1))
        size = batch * padded / 2 * labels**3 * K**2
        if size > NUMBERS:
            raise UnsupportedError(f"needs tensors of {size / 1e9:.2f} billion numbers")
        parts = self._distribution(self.potentials.emissions.detach()).topk(K)
        return self._labels(parts).transpose(0, 1)

    @staticmethod
    def _labels(parts: Tensor) -> Tensor:
        """One-hot pairs `(..., length - 1, to, from)` -> `(..., length)`."""
        first = parts[..., :1, :, :].sum(-2).argmax(-1)
        return torch.cat([first, parts.sum(-1).argmax(-1)], dim=-1)

    def cross_entropy(self, student: Any) -> Tensor:
        teacher = self._distribution(self.potentials.emissions)
        teacher.log_potentials = teacher.log_potentials.detach()
        return teacher.cross_entropy(student._distribution(student.potentials.emissions))


class SuPar(Peer):
    name = "supar"

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        super().__init__(potentials, mask)
        # The start is the last row, the end the last column.
        transitions = torch.nn.functional.pad(potentials.transitions.detach(), (0, 1, 0, 1))
        transitions[-1, :-1] = potentials.start.detach()
        transitions[:-1, -1] = potentials.end.detach()
        self._transitions = transitions.requires_grad_()

    def leaves(self) -> List[Tensor]:
        return [self.potentials.emissions, self._transitions]

    def _distribution(self, emissions: Tensor, transitions: Optional[Tensor] = None) -> Any:
        assert supar is not None
        transitions = self._transitions if transitions is None else transitions
        return supar.LinearChainCRF(emissions, transitions, self.lengths)

    def log_partition(self, emissions: Tensor) -> Tensor:
        return self._distribution(emissions).log_partition

    def score(self, paths: Tensor) -> Tensor:
        assert supar is not None
        k = paths.size(1)
        repeated = supar.LinearChainCRF(
            self.potentials.emissions.repeat_interleave(k, dim=0),
            self._transitions,
            self.lengths.repeat_interleave(k),
        )
        return repeated.score(paths.flatten(0, 1)).view(-1, k)

    def best(self) -> Paths:
        emissions = self.potentials.emissions.detach().clone()
        return self._distribution(emissions, self._transitions.detach()).argmax

    def k_best(self) -> Paths:
        emissions = self.potentials.emissions.detach().clone()
        found = self._distribution(emissions, self._transitions.detach()).topk(K)
        return found.transpose(1, 2)

    def cross_entropy(self, student: Any) -> Tensor:
        teacher = self._distribution(
            self.potentials.emissions.detach().clone(), self._transitions.detach()
        )
        return teacher.cross_entropy(student._distribution(student.potentials.emissions))


PEERS: Dict[type[Peer], bool] = {
    AllenNLP: True,
    PytorchCrf: torchcrf is not None,
    TorchCrf: TorchCRF is not None,
    TorchStruct: torch_struct is not None,
    SuPar: supar is not None,
}
"""Whether each is installed."""
