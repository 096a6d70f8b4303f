"""Every quantity of a `LinearChain` against enumeration of all label sequences, in float64."""

import itertools
import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from structkd_allennlp.distillation.objectives import DistillationObjective
from structkd_allennlp.modules.linear_chain import LinearChain

Path = Tuple[int, ...]


class Enumerated:
    """The same distribution, by listing every sequence of every sentence."""

    def __init__(
        self,
        emissions: Tensor,
        transitions: Tensor,
        mask: Tensor,
        start: Optional[Tensor] = None,
        end: Optional[Tensor] = None,
    ) -> None:
        self.shape = emissions.shape
        self.scores: List[Dict[Path, Tensor]] = []
        for b, n in enumerate(mask.sum(1).tolist()):
            scores = {}
            for path in itertools.product(range(emissions.size(2)), repeat=n):
                score = sum((emissions[b, i, y] for i, y in enumerate(path)), torch.zeros(()))
                for i, (y, z) in enumerate(itertools.pairwise(path)):
                    score = score + transitions[(b, i)[: transitions.dim() - 2]][y, z]
                if start is not None:
                    score = score + (start if start.dim() == 1 else start[b])[path[0]]
                if end is not None:
                    score = score + (end if end.dim() == 1 else end[b])[path[-1]]
                scores[path] = score
            self.scores.append(scores)
        self.log_partition = torch.stack(
            [torch.stack(list(s.values())).logsumexp(0) for s in self.scores]
        )

    def log_probs(self, b: int) -> Dict[Path, Tensor]:
        return {path: s - self.log_partition[b] for path, s in self.scores[b].items()}

    def marginals(self) -> Tensor:
        result = torch.zeros(self.shape, dtype=torch.float64)
        for b in range(self.shape[0]):
            for path, log_p in self.log_probs(b).items():
                for i, y in enumerate(path):
                    result[b, i, y] = result[b, i, y] + log_p.exp()
        return result

    def pair_marginals(self) -> Tensor:
        batch, length, labels = self.shape
        result = torch.zeros(batch, length - 1, labels, labels, dtype=torch.float64)
        for b in range(batch):
            for path, log_p in self.log_probs(b).items():
                for i, (y, z) in enumerate(itertools.pairwise(path)):
                    result[b, i, y, z] += log_p.exp()
        return result

    def cross_entropy(self, other: "Enumerated") -> Tensor:
        result = []
        for b in range(self.shape[0]):
            mine, theirs = self.log_probs(b), other.log_probs(b)
            result.append(
                -sum(
                    (mine[p].exp() * theirs[p] for p in mine if mine[p] > -math.inf),
                    torch.zeros((), dtype=torch.float64),
                )
            )
        return torch.stack(result)


def potentials(
    seed: int,
    lengths: List[int],
    labels: int,
    positional: Union[bool, str],
    ends: Union[bool, str],
    scale: float = 1.0,
    forbid: float = 0.0,
) -> Dict[str, Any]:
    """
    Random potentials; a share `forbid` of the transitions is -inf, never from or to label 0.
    `positional` transitions differ by position; else they, and `ends`, may be "by sentence".
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    batch, length = len(lengths), max(lengths)
    own = {False: (), "by sentence": (batch,), True: (batch, length - 1)}[positional]
    transitions = random(*own, labels, labels)
    if forbid:
        drop = torch.rand(transitions.shape, generator=generator) < forbid
        drop[..., 0] = False
        drop[..., 0, :] = False
        transitions = transitions.masked_fill(drop, -math.inf)
    ends_shape = (batch, labels) if ends == "by sentence" else (labels,)
    return {
        "emissions": random(batch, length, labels),
        "transitions": transitions,
        "mask": torch.arange(length) < torch.tensor(lengths).unsqueeze(1),
        "start": random(*ends_shape) if ends else None,
        "end": random(*ends_shape) if ends else None,
    }


def exclude(p: Dict[str, Any], structure: str, value: float, seed: int) -> Dict[str, Any]:
    """
    The potentials, of which some are `value`. Some sequence of each sentence is always left, but
    most structures have labels that can not be reached, or that lead to nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    batch, length, labels = p["emissions"].shape
    tokens = torch.zeros(p["emissions"].shape, dtype=torch.bool)
    steps = torch.zeros(p["transitions"].shape, dtype=torch.bool)
    if structure == "BIO":
        # 0 is O, then every B is followed by its I.
        to_inside = torch.arange(labels) % 2 == 0
        to_inside[0] = False
        own = torch.arange(labels).unsqueeze(1) - torch.arange(labels)
        steps |= to_inside & (own != 0) & (own != -1)
        tokens[:, 0] = to_inside
    elif structure == "left to right":
        steps |= torch.ones(labels, labels).tril(-1).bool()
    elif structure == "random":
        tokens = torch.rand(tokens.shape, generator=generator) < 0.4
        steps = torch.rand(steps.shape, generator=generator) < 0.4
        # Some sentences are left as they are.
        tokens[::2] = False
        if steps.dim() > 2:
            steps[::2] = False
        legal = torch.randint(labels, (batch, length), generator=generator)
        tokens.scatter_(-1, legal.unsqueeze(-1), False)
        for b, path in enumerate(legal.tolist()):
            for i, (y, z) in enumerate(itertools.pairwise(path)):
                steps[(b, i)[: steps.dim() - 2]][y, z] = False
    return {
        **p,
        "emissions": p["emissions"].masked_fill(tokens, value),
        "transitions": p["transitions"].masked_fill(steps, value),
    }


STRUCTURES = ["none", "BIO", "left to right", "random"]
SHAPES: List[Union[bool, str]] = [False, "by sentence", True]


def both(p: Dict[str, Any]) -> Tuple[LinearChain, Enumerated]:
    args = (p["emissions"], p["transitions"], p["mask"], p["start"], p["end"])
    return LinearChain(*args), Enumerated(*args)


@st.composite
def cases(
    draw: st.DrawFn,
    lengths: st.SearchStrategy[List[int]],
    labels: st.SearchStrategy[int],
    scales: Sequence[float],
    size: int,
) -> Dict[str, Any]:
    """All kinds of potentials. Sentences are cut so that a batch has at most `size` pairs."""
    seed, number = draw(st.integers(0, 2**31)), draw(labels)
    of_batch = draw(lengths)
    longest = max(1, size // (len(of_batch) * number**2))
    plain = potentials(
        seed,
        [min(n, longest) for n in of_batch],
        number,
        positional=draw(st.sampled_from(SHAPES)),
        ends=draw(st.sampled_from(SHAPES)),
        scale=draw(st.sampled_from(scales)),
    )
    structure = draw(st.sampled_from(STRUCTURES))
    return exclude(plain, structure, draw(st.sampled_from([-math.inf, -10_000.0])), seed)


CASES = cases(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    labels=st.integers(1, 3),
    scales=[0.1, 1.0, 50.0, 1000.0],
    size=1000,
)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_probabilities_equal_enumeration(case):
    chain, brute = both(case)
    torch.testing.assert_close(chain.log_partition, brute.log_partition)
    torch.testing.assert_close(chain.marginals, brute.marginals())
    torch.testing.assert_close(chain.pair_marginals, brute.pair_marginals())
    sums = chain.marginals.sum(-1)
    torch.testing.assert_close(sums, chain.mask.to(sums.dtype))
    log_q = chain.log_marginals
    assert torch.isfinite(log_q).all()
    torch.testing.assert_close(log_q.exp() * chain.mask.unsqueeze(-1), chain.marginals)
    torch.testing.assert_close(chain.entropy, brute.cross_entropy(brute))


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(1, 90))
def test_k_best_and_log_prob_equal_enumeration(case, k):
    chain, brute = both(case)
    best = chain.k_best(k)
    assert best.paths.shape == (chain.batch_size, k, chain.length)
    log_probs = chain.log_prob(best.paths)
    for b, n in enumerate(chain.lengths.tolist()):
        scores = {p: s.item() for p, s in brute.scores[b].items() if s > -math.inf}
        ranked = sorted(scores.values(), reverse=True)
        for rank in range(k):
            if rank >= len(ranked):
                assert best.scores[b, rank] == -math.inf
                assert not best.paths[b, rank].any()
                continue
            path = tuple(best.paths[b, rank, :n].tolist())
            assert best.scores[b, rank].item() == pytest.approx(ranked[rank])
            assert scores[path] == pytest.approx(ranked[rank])
            assert log_probs[b, rank].item() == pytest.approx(
                ranked[rank] - brute.log_partition[b].item(), abs=1e-9
            )
        assert not best.paths[b, :, n:].any()
        found = {tuple(p) for p in best.paths[b, : len(ranked), :n].tolist()}
        assert len(found) == min(k, len(ranked)), "a sequence was listed twice"
    torch.testing.assert_close(chain.log_prob(best.paths[:, 0]), log_probs[:, 0])


@settings(max_examples=30, deadline=None)
@given(CASES, st.sampled_from([0.5, 2.25, 4.0]))
def test_tempering_raises_probabilities_to_a_power(case, temperature):
    chain, brute = both(case)
    for b in range(chain.batch_size):
        log_probs = {p: x for p, x in brute.log_probs(b).items() if x > -math.inf}
        powers = torch.log_softmax(torch.stack(list(log_probs.values())) / temperature, dim=0)
        paths = torch.zeros(1, len(log_probs), chain.length, dtype=torch.long)
        for i, path in enumerate(log_probs):
            paths[0, i, : len(path)] = torch.tensor(path)
        tempered = chain.tempered(temperature).log_prob(paths.expand(chain.batch_size, -1, -1))
        torch.testing.assert_close(tempered[b], powers)


@settings(max_examples=30, deadline=None)
@given(CASES, st.integers(0, 2**31))
def test_cross_entropy_equals_enumeration(case, seed):
    chain, brute = both(case)
    lengths, labels = chain.lengths.tolist(), chain.num_labels
    other, other_brute = both(potentials(seed, lengths, labels, positional=True, ends=True))
    torch.testing.assert_close(chain.cross_entropy(other), brute.cross_entropy(other_brute))


@settings(max_examples=30, deadline=None)
@given(CASES, st.integers(0, 2**31))
def test_log_prob_of_observed_equals_enumeration(case, seed):
    chain, brute = both(case)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(chain.num_labels, chain.mask.shape, generator=generator)
    observed = torch.rand(chain.mask.shape, generator=generator) < 0.5
    ours = chain.log_prob_of_observed(labels, observed)
    for b in range(chain.batch_size):
        seen = [i for i in range(int(chain.lengths[b])) if observed[b, i]]
        fitting = [
            log_p
            for path, log_p in brute.log_probs(b).items()
            if all(path[i] == labels[b, i] for i in seen)
        ]
        torch.testing.assert_close(ours[b], torch.stack(fitting).logsumexp(0))


def dead_end(positional: Union[bool, str], lengths: Sequence[int] = (3, 3, 1)) -> Dict[str, Any]:
    """The second sentence has a label that leads to nothing, so it is computed in log space."""
    p = potentials(3, list(lengths), 3, positional=positional, ends=True)
    p["transitions"][..., 0, 1] = -math.inf
    p["emissions"][1, 1] = torch.tensor([-math.inf, 0.5, -math.inf])
    return p


NAMES = ("emissions", "transitions", "start", "end")
Chain = Any  # A `LinearChain`, or its twin in `forward_backward_test`.
# Of a chain, of another one over the same sentences and of k label sequences of each sentence.
QUANTITIES: Dict[str, Callable[[Chain, Chain, Tensor], Tensor]] = {
    "log_partition": lambda chain, other, paths: chain.log_partition,
    "marginals": lambda chain, other, paths: chain.marginals,
    "log_marginals": lambda chain, other, paths: chain.log_marginals,
    "pair_marginals": lambda chain, other, paths: chain.pair_marginals,
    "log_prob": lambda chain, other, paths: chain.log_prob(paths),
    # What the first two have in common.
    "log_prob_of_observed": lambda chain, other, paths: chain.log_prob_of_observed(
        paths[:, 0], paths[:, 0] == paths[:, 1]
    ),
    "entropy": lambda chain, other, paths: chain.entropy,
    "cross_entropy": lambda chain, other, paths: chain.cross_entropy(other),
    "cross_entropy_to": lambda chain, other, paths: other.cross_entropy(chain),
    "tempered": lambda chain, other, paths: chain.tempered(2.5).log_prob(paths),
}


@pytest.mark.parametrize("positional", SHAPES)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_gradients(quantity, positional):
    p = dead_end(positional)
    other = LinearChain(*dead_end(True).values())
    # Legal in every sentence.
    paths = torch.tensor([[2, 2, 0], [2, 1, 2]]).expand(3, 2, 3).clone()
    paths[1, 0] = torch.tensor([1, 1, 2])
    inputs = [p[name].requires_grad_() for name in NAMES]

    def function(emissions, transitions, start, end):
        chain = LinearChain(emissions, transitions, p["mask"], start, end)
        assert chain._messages.unreliable.tolist() == [1]
        value = QUANTITIES[quantity](chain, other, paths)
        assert value.isfinite().all()
        return value

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    if quantity in ("log_partition", "log_prob", "log_prob_of_observed", "tempered"):
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("quantity", ["marginals", "log_marginals", "pair_marginals", "entropy"])
def test_second_derivatives_that_there_are_not_are_refused(quantity):
    p = potentials(3, [3, 4], 3, positional=False, ends=True)
    inputs = [p[name].requires_grad_() for name in NAMES]
    value = getattr(LinearChain(*p.values()), quantity)
    (first,) = torch.autograd.grad((value**2).sum(), inputs[:1], create_graph=True)
    with pytest.raises(NotImplementedError, match="LogSpaceForwardBackward"):
        torch.autograd.grad(first.sum(), inputs[:1])


@pytest.mark.parametrize("kind", ["posterior", "structural"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradients_of_objectives(kind, direction, temperature):
    objective = DistillationObjective.by_name(kind)(direction=direction, temperature=temperature)
    teacher = LinearChain(*dead_end("by sentence").values())
    p = dead_end(False)
    inputs = [p[name].requires_grad_() for name in NAMES]

    def function(emissions, transitions, start, end):
        return objective(teacher, LinearChain(emissions, transitions, p["mask"], start, end))

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("forbidden", [-math.inf, -10_000.0])
def test_forbidden_transitions_get_nothing_and_leave_no_nan(forbidden):
    transitions = torch.zeros(3, 3)
    transitions[0, 2] = forbidden
    start = torch.tensor([0.0, 0.0, forbidden])
    mask = torch.tensor([[True] * 5, [True] + [False] * 4])
    emissions = torch.randn(2, 5, 3, requires_grad=True)
    transitions.requires_grad_()
    start.requires_grad_()
    chain = LinearChain(emissions, transitions, mask, start)
    assert (chain.marginals[:, 0, 2] == 0).all()
    assert (chain.pair_marginals[:, :, 0, 2] == 0).all()
    assert (chain.sample(50)[:, :, 0] != 2).all()
    illegal = torch.tensor([[2, 0, 0, 0, 0], [2, 0, 0, 0, 0]])
    if forbidden == -math.inf:
        assert torch.isneginf(chain.log_prob(illegal)).all()
    # A target of 0 where the student can not go must cost nothing and disturb nothing.
    loss = -(chain.marginals.detach() * chain.log_marginals).sum() + chain.entropy.sum()
    loss.backward()
    for tensor in (emissions, transitions, start):
        assert torch.isfinite(tensor.grad).all()
    assert transitions.grad[0, 2] == 0


def test_a_chain_without_any_legal_sequence_says_so():
    transitions = torch.full((2, 2), -math.inf)
    chain = LinearChain(torch.zeros(1, 3, 2), transitions, torch.ones(1, 3, dtype=torch.bool))
    assert chain.log_partition.item() == -math.inf
    assert chain.log_prob(torch.tensor([[0, 1, 0]])).item() == -math.inf
    assert chain.k_best(2).scores.tolist() == [[-math.inf, -math.inf]]


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])
@pytest.mark.parametrize("labels", [1, 17])
def test_float32_is_close_to_float64(scale, labels):
    p = potentials(5, [64, 1, 33], labels, positional=False, ends=True, scale=scale)
    exact = LinearChain(*p.values())
    single = LinearChain(
        *(v if v is None or v.dtype == torch.bool else v.float() for v in p.values())
    )
    # What rounding the potentials to float32 itself costs grows with their size.
    tolerance = 1e-4 * max(1.0, scale / 50)
    torch.testing.assert_close(
        single.marginals.double(), exact.marginals, rtol=tolerance, atol=tolerance
    )
    torch.testing.assert_close(
        single.log_partition.double(), exact.log_partition, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_half_precision_is_computed_in_higher(dtype, autocast, scale):
    p = dead_end(False, lengths=[6, 4, 1])
    halves = {n: (scale * p[n]).to(dtype).requires_grad_() for n in NAMES}
    twins = {n: x.detach().float().requires_grad_() for n, x in halves.items()}
    chain, twin = (LinearChain(**_arguments(x), mask=p["mask"]) for x in (halves, twins))
    paths = twin.k_best(2).paths
    for name, quantity in QUANTITIES.items():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            result = quantity(chain, chain, paths)
        expected = quantity(twin, twin, paths)
        assert result.dtype == torch.float32, name
        assert torch.equal(result, expected), name
        gradients, theirs = (
            torch.autograd.grad(value.clamp(min=-1e6).sum(), list(x.values()), retain_graph=True)
            for value, x in ((result, halves), (expected, twins))
        )
        for mine, exact in zip(gradients, theirs, strict=True):
            assert mine.dtype == dtype
            assert torch.equal(mine, exact.to(dtype)), name
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        assert torch.equal(chain.k_best(2).paths, paths)
        assert chain.k_best(2).scores.dtype == torch.float32


def _arguments(p: Dict[str, Any]) -> Dict[str, Any]:
    """The names that `LinearChain` has for potentials."""
    return {f"{n}_transitions" if n in ("start", "end") else n: x for n, x in p.items()}


@pytest.mark.parametrize("positional", [False, True])
def test_padding_is_ignored_whatever_it_holds(positional):
    p = potentials(6, [2, 5], 3, positional=positional, ends=True)
    clean = LinearChain(*p.values())
    dirty = {n: None if x is None else x.clone() for n, x in p.items()}
    dirty["emissions"][0, 2:] = math.nan
    if positional:
        dirty["transitions"][0, 1:] = math.nan
    inputs = [dirty[name].requires_grad_() for name in NAMES]
    chain = LinearChain(*dirty.values())
    # Nor are labels there.
    paths = clean.k_best(3).paths.clone()
    paths[0, :, 2:] = 100
    for name, quantity in QUANTITIES.items():
        ours = quantity(chain, chain, paths.clamp(max=2) if "observed" in name else paths)
        torch.testing.assert_close(ours, quantity(clean, clean, paths % 98))
        for gradient in torch.autograd.grad(ours.sum(), inputs, retain_graph=True):
            assert gradient.isfinite().all()
    torch.testing.assert_close(chain.k_best(3).scores, clean.k_best(3).scores)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_was_computed_without_gradient_does_not_serve_a_loss(quantity):
    p = dead_end(False)
    emissions = p["emissions"].requires_grad_()
    chain, other = (LinearChain(*x.values()) for x in (p, dead_end(True)))
    paths = torch.full((3, 2, 3), 2)
    with torch.no_grad():
        without = QUANTITIES[quantity](chain, other, paths)
    assert not without.requires_grad
    assert not QUANTITIES[quantity](chain.detach(), other, paths).requires_grad
    value = QUANTITIES[quantity](chain, other, paths)
    torch.testing.assert_close(value, without)
    possible = value.masked_fill(value.isinf(), 0.0)
    (gradient,) = torch.autograd.grad((possible**2).sum(), emissions)
    # Also in the sentence that is computed in log space.
    if quantity not in ("log_prob", "log_prob_of_observed", "tempered"):
        assert gradient[1].abs().sum() > 0
    assert gradient[0].abs().sum() > 0


@pytest.mark.parametrize("positional", SHAPES)
def test_samples_follow_the_distribution(positional):
    torch.manual_seed(0)
    chain, brute = both(dead_end(positional, lengths=[3, 3, 2]))
    samples = chain.sample(10_000)
    assert samples.shape == (3, 10_000, 3)
    assert not samples[2, :, 2].any()
    for b, n in enumerate([3, 3, 2]):
        for path, log_p in brute.log_probs(b).items():
            share = (samples[b, :, :n] == torch.tensor(path)).all(-1).double().mean()
            assert share.item() == pytest.approx(log_p.exp().item(), abs=0.02)
            assert log_p > -math.inf or share == 0


def golden_example() -> LinearChain:
    """The three-token example of Wang et al. (2020), Table 1; labels F = 0, T = 1."""
    psi = torch.tensor([[[2, 1 / 2], [1 / 2, 2]], [[1 / 3, 3], [4, 1 / 4]]], dtype=torch.float64)
    emissions = torch.zeros(1, 3, 2, dtype=torch.float64)
    return LinearChain(emissions, psi.log().unsqueeze(0), torch.ones(1, 3, dtype=torch.bool))


def test_golden_example_of_the_paper():
    chain = golden_example()
    paths = torch.tensor(list(itertools.product([0, 1], repeat=3))).unsqueeze(0)
    published = [0.035, 0.316, 0.105, 0.007, 0.009, 0.079, 0.422, 0.026]
    assert chain.log_prob(paths).exp()[0].tolist() == pytest.approx(published, abs=1e-3)
    best = chain.k_best(2)
    assert best.paths.tolist() == [[[1, 1, 0], [0, 0, 1]]]
    weights = torch.softmax(best.scores, dim=-1)[0]
    assert weights.tolist() == pytest.approx([0.57, 0.43], abs=5e-3)
    assert chain.marginals[0, :, 0].tolist() == pytest.approx([0.46, 0.44, 0.57], abs=5e-3)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (4, 4), (2, 3)), "emissions must be"),
        (((2, 3, 4), (3, 4), (2, 3)), "transitions must be"),
        (((2, 3, 4), (2, 3, 4, 4), (2, 3)), "transitions must be"),
        (((2, 3, 4), (4, 4), (3, 2)), "mask must be"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, message):
    emissions, transitions, mask = (torch.zeros(s) for s in shapes)
    with pytest.raises(ValueError, match=message):
        LinearChain(emissions, transitions, mask.bool())


@pytest.mark.parametrize(
    ("row", "message"),
    [([True, False, True], "hole"), ([False] * 3, "empty"), ([False, True, True], "start")],
)
def test_masks_with_holes_or_empty_rows_are_refused(row, message):
    mask = torch.tensor([[True] * 3, row])
    with pytest.raises(ValueError, match=message):
        LinearChain(torch.zeros(2, 3, 2), torch.zeros(2, 2), mask)


def test_wrong_k_and_other_sentences_are_refused():
    chain = golden_example()
    with pytest.raises(ValueError, match="at least 1"):
        chain.k_best(0)
    other = LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.ones(1, 2).bool())
    with pytest.raises(ValueError, match="cross-entropy"):
        chain.cross_entropy(other)
    start = torch.zeros(3)
    with pytest.raises(ValueError, match="start_transitions"):
        LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.ones(1, 2).bool(), start)
