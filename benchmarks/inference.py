"""
The operations of a linear-chain CRF that training and decoding are made of: ours beside those of
AllenNLP, pytorch-crf, TorchCRF, torch-struct and SuPar, as far as these have them and are installed
(the extra `benchmarks` in setup.py; `torchcrf` and `TorchCRF` are two modules, which a file system
that ignores case can not both hold). Before anything is timed, every contender's result is checked
against ours.

    python benchmarks/inference.py --output out/benchmarks/inference.json
    python benchmarks/inference.py --device cuda --output out/benchmarks/inference_cuda.json
"""

import functools
import math
from typing import (
    Any,
    Callable,
    ClassVar,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import measure
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.modules.conditional_random_field import ConditionalRandomField
from torch import Tensor
from torch.nn import Parameter

from structkd_allennlp.modules.linear_chain import LinearChain

# (batch, length, labels)
SHAPES = [(32, 32, 17), (64, 128, 17), (16, 32, 50)]
K = 10
# A contender that would need a tensor of more numbers than this is left out of a row.
NUMBERS = 1e8
# A contender that has taken as long for one row sits out the remaining rounds.
SECONDS = 10.0

torchcrf = measure.optional("torchcrf")
TorchCRF = measure.optional("TorchCRF")
torch_struct = measure.optional("torch_struct")
supar = measure.optional("supar")

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


class Problem(NamedTuple):
    teacher: Potentials
    student: Potentials
    mask: Tensor
    # (batch, 1, length) and (batch, K, length)
    gold: Tensor
    paths: Tensor
    # (batch, length, labels)
    teacher_marginals: Tensor


class UnsupportedError(Exception):
    """What a library does not have, or not at this size."""


class Contender:
    """A chain in the form of one library. Every call computes from scratch."""

    name: ClassVar[str]

    def __init__(self, potentials: Potentials, mask: Tensor) -> None:
        self.potentials = potentials.leaves()
        self.mask = mask
        self.lengths = mask.sum(1)

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


CONTENDERS: Dict[str, type[Contender]] = {Ours.name: Ours, AllenNLP.name: AllenNLP}
for _module, _contender in (
    (torchcrf, PytorchCrf),
    (TorchCRF, TorchCrf),
    (torch_struct, TorchStruct),
    (supar, SuPar),
):
    if _module is not None:
        CONTENDERS[_contender.name] = _contender
ALL = [x.name for x in (Ours, AllenNLP, PytorchCrf, TorchCrf, TorchStruct, SuPar)]


# What is measured. Each takes the teacher, the student and the rest of the problem, and returns
# tensors to compare: a loss and its gradients, or marginals; or paths.


def _with_gradients(loss: Tensor, student: Contender) -> Sequence[Tensor]:
    return loss, *torch.autograd.grad(loss, student.leaves())


def nll(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    return _with_gradients(-student.log_prob(problem.gold).sum(), student)


def marginals(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    return [student.marginals()]


def posterior(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    return _with_gradients(-(teacher.marginals() * student.log_marginals()).sum(), student)


def posterior_given(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    loss = -(problem.teacher_marginals * student.log_marginals()).sum()
    return _with_gradients(loss, student)


def best(teacher: Contender, student: Contender, problem: Problem) -> Paths:
    return student.best()


def k_best(teacher: Contender, student: Contender, problem: Problem) -> Paths:
    return student.k_best()


def fixed_paths(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    return _with_gradients(-student.log_prob(problem.paths).sum(), student)


def structural(teacher: Contender, student: Contender, problem: Problem) -> Sequence[Tensor]:
    return _with_gradients(teacher.cross_entropy(student).sum(), student)


Operation = Callable[[Contender, Contender, Problem], Any]
OPERATIONS: Dict[str, Operation] = {
    "negative log-likelihood, forward and backward": nll,
    "marginals, without gradient": marginals,
    "posterior loss, forward and backward": posterior,
    "posterior loss, teacher's marginals given": posterior_given,
    "best path": best,
    f"{K} best paths": k_best,
    f"loss of {K} given paths, forward and backward": fixed_paths,
    "structural cross-entropy, forward and backward": structural,
}
_DECODING = (best, k_best)


def make_problem(
    shape: Tuple[int, int, int], dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Problem:
    """Random chains, of lengths between half of the longest and the longest."""
    batch, length, labels = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=dtype).to(device)

    lengths = torch.randint(length // 2, length + 1, (batch,), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths.unsqueeze(1)).to(device)
    chains = [
        Potentials(
            normal(batch, length, labels), normal(labels, labels), normal(labels), normal(labels)
        )
        for _ in range(2)
    ]
    paths = torch.randint(labels, (batch, K, length), generator=generator).to(device)
    paths = paths.masked_fill(~mask.unsqueeze(1), 0)
    teacher_marginals = Ours(chains[0], mask).marginals()
    return Problem(chains[0], chains[1], mask, paths[:, :1], paths, teacher_marginals)


def check(result: Any, reference: Any, problem: Problem, decoding: bool) -> None:
    """Raises `AssertionError` where a contender's result is not what ours is."""
    if decoding:
        result, reference = (_scores(paths, problem) for paths in (result, reference))
    labels = problem.student.emissions.size(2)
    # The loss, the gradient of the emissions, and that of the transitions.
    for value, expected in zip(result[:3], reference[:3], strict=True):
        if value.shape == (labels + 1, labels + 1):
            value = value[:labels, :labels]
        torch.testing.assert_close(value.detach(), expected.detach(), rtol=1e-6, atol=1e-6)


def _scores(paths: Paths, problem: Problem) -> Sequence[Tensor]:
    """The log-probabilities of paths: those may differ where paths tie, and these not."""
    length = problem.mask.size(1)
    if isinstance(paths, list):
        ranked = [[one] if isinstance(one[0], int) else one for one in paths]
        paths = torch.tensor([[p + [0] * (length - len(p)) for p in one] for one in ranked])
    if paths.dim() == 2:
        paths = paths.unsqueeze(1)
    log_probs = Ours(problem.student, problem.mask).log_prob(paths.to(problem.mask.device))
    return [log_probs.sort(dim=1, descending=True).values]


def measured(
    shape: Tuple[int, int, int],
    names: Sequence[str],
    rounds: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Iterator[measure.Row]:
    problem = make_problem(shape, dtype, device)
    # In float32 a loss over marginals differs between libraries by more than a mistake would.
    exact = make_problem(shape, torch.float64, device)
    for title, operation in OPERATIONS.items():
        measure.note(f"batch, length, labels = {shape}: {title}")
        row = {"operation": title, **dict(zip(("batch", "length", "labels"), shape, strict=True))}
        calls: Dict[str, Callable[[], Any]] = {}
        reference = None
        for name in names:
            try:
                result = prepared(operation, name, exact)()
                reference = result if reference is None else reference
                check(result, reference, exact, operation in _DECODING)
                calls[name] = prepared(operation, name, problem)
            except UnsupportedError as error:
                yield {**row, "contender": name, "note": str(error)}
            except AssertionError as error:
                # What is wrong is not worth timing, and worth knowing.
                yield {**row, "contender": name, "note": f"other result than ours: {error}"}
        for name, samples in measure.timed(calls, rounds, device, SECONDS).items():
            yield {**row, "contender": name, **measure.summary(samples)}


def prepared(operation: Operation, name: str, problem: Problem) -> Callable[[], Any]:
    teacher, student = (
        CONTENDERS[name](chain, problem.mask) for chain in (problem.teacher, problem.student)
    )
    return functools.partial(operation, teacher, student, problem)


def tables(rows: Sequence[measure.Row]) -> str:
    """A table for each size: milliseconds, and in brackets how many times as long as ours."""
    result = []
    names = [name for name in ALL if any(row["contender"] == name for row in rows)]
    for shape in dict.fromkeys((row["batch"], row["length"], row["labels"]) for row in rows):
        here = [row for row in rows if (row["batch"], row["length"], row["labels"]) == shape]
        lines = []
        for title in dict.fromkeys(row["operation"] for row in here):
            medians = {
                row["contender"]: row["median"]
                for row in here
                if row["operation"] == title and "median" in row
            }
            lines.append([title, *(_cell(medians, name) for name in names)])
        result.append(f"batch {shape[0]}, length {shape[1]}, {shape[2]} labels\n")
        result.append(measure.table(["milliseconds", *names], lines) + "\n")
    return "\n".join(result)


def _cell(medians: Dict[str, float], name: str) -> str:
    if name not in medians:
        return ""
    ratio = f" ({medians[name] / medians[Ours.name]:.1f}x)" if name != Ours.name else ""
    return f"{1000 * medians[name]:.2f}{ratio}"


def main() -> None:
    parser = measure.parser(__doc__, "inference", rounds=20)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=CONTENDERS)
    args = measure.parse(parser)
    if args.device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"--device {args.device}: there is no GPU that torch can use")
    missing = [name for name in ALL if name not in CONTENDERS]
    if missing:
        measure.note(f"not installed, so not measured: {', '.join(missing)}")
    # Ours comes first: it is what the others are checked against.
    names = list(dict.fromkeys([Ours.name, *args.contenders]))
    environment = measure.environment(args.threads, args.device)
    rows: List[measure.Row] = []
    for shape in SHAPES:
        dtype = getattr(torch, args.dtype)
        rows += measured(shape, names, args.rounds, dtype, args.device)
    for row in rows:
        if "note" in row:
            measure.note(f"{row['contender']}, {row['operation']}: {row['note']}")
    print(tables(rows))
    measure.write(
        args.output, "inference", environment, dtype=args.dtype, not_installed=missing, rows=rows
    )


if __name__ == "__main__":
    main()
