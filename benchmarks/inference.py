"""
The operations of a linear-chain CRF that training and decoding are made of: ours beside those of
AllenNLP, pytorch-crf, TorchCRF, torch-struct and SuPar, as far as these have them and are installed
(see `peers.py`). Two more columns show what each of our engines is for: ours with PyTorch's loops
in place of Numba's, and ours in log space, where it computes the sentences whose scores span too
much. Before anything is timed, every contender's result is checked against ours.

    python benchmarks/inference.py --output out/benchmarks/inference.json
    python benchmarks/inference.py --device cuda --output out/benchmarks/inference_cuda.json
"""

from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import measure
import torch
from allennlp.common.checks import ConfigurationError
from contenders import (
    Contender,
    K,
    LogSpace,
    Ours,
    Paths,
    Potentials,
    UnsupportedError,
    WithoutNumba,
)
from peers import PEERS
from torch import Tensor

# (batch, length, labels)
SHAPES = [(32, 32, 17), (64, 128, 17), (16, 32, 50)]
# A contender that has taken as long for one row sits out the remaining rounds.
SECONDS = 10.0

_OURS: List[type[Contender]] = [Ours, WithoutNumba, LogSpace]
ALL = [contender.name for contender in [*_OURS, *PEERS]]
CONTENDERS: Dict[str, type[Contender]] = {
    contender.name: contender
    for contender in [*_OURS, *(peer for peer, installed in PEERS.items() if installed)]
}


class Problem(NamedTuple):
    teacher: Potentials
    student: Potentials
    mask: Tensor
    # (batch, 1, length) and (batch, K, length)
    gold: Tensor
    paths: Tensor
    # (batch, length, labels)
    teacher_marginals: Tensor


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
    return lambda: student.run(lambda: operation(teacher, student, problem))


def tables(rows: Sequence[measure.Row]) -> str:
    """A table for each size: milliseconds, and in brackets how many times as long as ours."""
    result = []
    names = list(dict.fromkeys(row["contender"] for row in rows))
    # One that is not among ours and their peers is an earlier revision of ours.
    names.sort(key=lambda name: ALL.index(name) if name in ALL else 0)
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
