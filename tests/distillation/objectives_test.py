"""Objectives against enumeration of all label sequences, in value and gradient, in float64."""

import copy

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.distillation.objectives import DistillationObjective, PosteriorObjective
from structkd_allennlp.modules.linear_chain import LinearChain
from tests.modules.enumeration import Enumerated
from tests.modules.linear_chain.reference import TWINS
from tests.modules.potentials import golden_example, potentials

LENGTHS, LABELS = [1, 3, 4], 3
TEMPERATURES = [1.0, 2.25]


def objective(**params):
    return DistillationObjective.from_params(Params(copy.deepcopy(params)))


def pair(forbid=0.0):
    """The potentials of a teacher and of a student over the same sentences."""
    teacher = potentials(1, LENGTHS, LABELS, positional=True, ends="by sentence", forbid=forbid)
    student = potentials(2, LENGTHS, LABELS, positional=False, ends=True)
    return teacher, student


def by_enumeration(params, teacher, student):
    """The definitions, literally. Differentiable in the student's potentials."""
    if params.get("reduction") == "mean":
        summed = by_enumeration({**params, "reduction": "sum"}, teacher, student)
        return summed / torch.tensor(LENGTHS)
    kind, temperature = params["type"], params.get("temperature", 1.0)
    reverse = params.get("direction") == "reverse"
    if kind == "sum":
        weights = params.get("weights", [1.0] * len(params["objectives"]))
        return sum(
            weight * by_enumeration(part, teacher, student)
            for weight, part in zip(weights, params["objectives"], strict=True)
        )
    if kind == "structural":
        names = ("emissions", "transitions", "start", "end")
        teacher, student = (
            {n: x / temperature if n in names else x for n, x in p.items()}
            for p in (teacher, student)
        )
    brute_t, brute_s = Enumerated(*teacher.values()), Enumerated(*student.values())
    if kind == "structural":
        if reverse:
            divergence = brute_s.cross_entropy(brute_t) - brute_s.cross_entropy(brute_s)
        else:
            divergence = brute_t.cross_entropy(brute_s)
        return temperature**2 * divergence
    losses = []
    for b, n in enumerate(LENGTHS):
        log_t, log_s = brute_t.log_probs(b), brute_s.log_probs(b)
        if kind in ("top_k", "weighted_top_k"):
            ranked = sorted(log_t, key=lambda path: -log_t[path])[: params["k"]]
            ranked = [path for path in ranked if log_t[path] > -torch.inf]
            weights = torch.softmax(torch.stack([log_t[p] for p in ranked]), 0)
            if kind == "top_k":
                weights = torch.full_like(weights, 1 / len(ranked))
            losses.append(-sum(w * log_s[p] for w, p in zip(weights, ranked, strict=True)))
            continue
        loss = torch.zeros((), dtype=torch.float64)
        for i in range(n):
            if kind == "emission":
                t, s = (p["emissions"][b, i] for p in (teacher, student))
            else:
                t, s = (
                    torch.stack(
                        [
                            torch.stack([x for p, x in log.items() if p[i] == y]).logsumexp(0)
                            for y in range(LABELS)
                        ]
                    )
                    for log in (log_t, log_s)
                )
            t, s = (torch.log_softmax(x / temperature, 0) for x in (t, s))
            divergence = (s.exp() * (s - t)).sum() if reverse else -(t.exp() * s).sum()
            loss = loss + temperature**2 * divergence
        losses.append(loss)
    return torch.stack(losses)


OBJECTIVES = [
    *(
        {"type": t, "temperature": x}
        for t in ("emission", "posterior", "structural")
        for x in TEMPERATURES
    ),
    *({"type": t, "k": k} for t in ("top_k", "weighted_top_k") for k in (1, 2, 10, 100)),
    {
        "type": "sum",
        "objectives": [{"type": "posterior"}, {"type": "weighted_top_k", "k": 5}],
        "weights": [0.5, 2.0],
    },
    {"type": "sum", "objectives": [{"type": "structural"}, {"type": "emission"}]},
]


@pytest.mark.parametrize("chain", TWINS)
@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("params", OBJECTIVES, ids=str)
def test_value_and_gradient_equal_enumeration(params, forbid, chain):
    """Of a `LinearChain` and, since an objective knows the protocol alone, of its twins."""
    teacher, student = pair(forbid)
    inputs = [student[n].requires_grad_() for n in ("emissions", "transitions", "start", "end")]
    loss = objective(**params)(chain(*teacher.values()), chain(*student.values()))
    expected = by_enumeration(params, teacher, student)
    assert loss.shape == (len(LENGTHS),)
    torch.testing.assert_close(loss, expected)
    weights = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad((weights * x).sum(), inputs, allow_unused=True)
        for x in (loss, expected)
    )
    for mine, brute in zip(ours, theirs, strict=True):
        mine, brute = (torch.zeros(1) if g is None else g for g in (mine, brute))
        if brute.numel() == 1 and mine.numel() > 1:
            brute = torch.zeros_like(mine)
        torch.testing.assert_close(mine.double(), brute.double().expand_as(mine))


@pytest.mark.parametrize("chain", TWINS)
@pytest.mark.parametrize("type_", ["emission", "posterior", "structural"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_reverse_direction_equals_enumeration(type_, temperature, chain):
    teacher, student = pair()
    params = {"type": type_, "temperature": temperature, "direction": "reverse"}
    inputs = [student[n].requires_grad_() for n in ("emissions", "transitions", "start", "end")]
    loss = objective(**params)(chain(*teacher.values()), chain(*student.values()))
    expected = by_enumeration(params, teacher, student)
    torch.testing.assert_close(loss, expected)
    assert (loss >= 0).all()
    for mine, brute in zip(
        torch.autograd.grad(loss.sum(), inputs, allow_unused=True),
        torch.autograd.grad(expected.sum(), inputs, allow_unused=True),
        strict=True,
    ):
        if brute is not None:
            torch.testing.assert_close(mine, brute)
    own = chain(*teacher.values())
    torch.testing.assert_close(objective(**params)(own, own), torch.zeros(3).double())


@pytest.mark.parametrize("params", [*OBJECTIVES[:-2], {"type": "posterior"}], ids=str)
def test_mean_over_tokens(params):
    params = {**params, "reduction": "mean"}
    teacher, student = pair()
    loss = objective(**params)(LinearChain(*teacher.values()), LinearChain(*student.values()))
    torch.testing.assert_close(loss, by_enumeration(params, teacher, student))


@pytest.mark.parametrize("params", OBJECTIVES, ids=str)
def test_no_gradient_goes_to_the_teacher(params):
    teacher, student = pair()
    emissions = teacher["emissions"].requires_grad_()
    student["emissions"].requires_grad_()
    loss = objective(**params)(LinearChain(*teacher.values()), LinearChain(*student.values()))
    loss.sum().backward()
    assert emissions.grad is None


def test_golden_example():
    """The teacher of Table 1 of Wang et al. (2020), and a student that knows nothing."""
    teacher = golden_example()
    student = LinearChain(torch.zeros(1, 3, 2).double(), torch.zeros(2, 2).double(), teacher.mask)
    log_2 = torch.log(torch.tensor(2.0)).item()
    for params in ({"type": "posterior"}, {"type": "structural"}, {"type": "top_k", "k": 2}):
        # Every label of every token costs one bit, whatever is asked.
        assert objective(**params)(teacher, student).item() == pytest.approx(3 * log_2)
    # A student that gives TTF and FFT what the paper says costs the paper's weights.
    weighted = objective(type="weighted_top_k", k=2)(teacher, teacher).item()
    published = -(0.57 * torch.tensor(0.422).log() + 0.43 * torch.tensor(0.316).log())
    assert weighted == pytest.approx(published.item(), abs=5e-3)
    plain = objective(type="top_k", k=2)(teacher, teacher).item()
    published = -(torch.tensor(0.422).log() + torch.tensor(0.316).log()) / 2
    assert plain == pytest.approx(published.item(), abs=5e-3)


def test_only_paths_that_exist_count():
    """One token and three labels, one of them impossible: of the 10 best there are two."""
    emissions = torch.tensor([[[2.0, 1.0, -torch.inf]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    teacher = LinearChain(emissions, torch.zeros(3, 3), mask)
    student_emissions = torch.randn(1, 1, 3, requires_grad=True)
    student = LinearChain(student_emissions, torch.zeros(3, 3), mask)
    log_p = torch.log_softmax(student_emissions[0, 0], 0)
    loss = objective(type="top_k", k=10)(teacher, student)
    torch.testing.assert_close(loss, -(log_p[:2].mean()).unsqueeze(0))
    weights = torch.softmax(torch.tensor([2.0, 1.0]), 0)
    loss = objective(type="weighted_top_k", k=10)(teacher, student)
    torch.testing.assert_close(loss, -((weights * log_p[:2]).sum()).unsqueeze(0))
    loss.backward()
    assert torch.isfinite(student_emissions.grad).all()


def test_posterior_is_least_where_the_student_is_the_teacher():
    chain = golden_example()
    own = PosteriorObjective()(chain, chain)
    q = torch.tensor([0.46, 0.44, 0.57])
    expected = -(q * q.log() + (1 - q) * (1 - q).log()).sum()
    assert own.item() == pytest.approx(expected.item(), abs=5e-3)
    other = LinearChain(torch.randn(1, 3, 2).double(), chain.transitions[0, 0], chain.mask)
    assert PosteriorObjective()(chain, other).item() > own.item()


@pytest.mark.parametrize("params", OBJECTIVES, ids=str)
def test_what_both_sides_forbid_costs_nothing(params):
    transitions = torch.zeros(3, 3)
    transitions[0, 1:] = -torch.inf
    start = torch.tensor([0.0, -torch.inf, -torch.inf])
    mask = torch.tensor([[True] * 3, [True, False, False]])
    emissions = torch.randn(2, 3, 3, requires_grad=True)
    free = transitions.clone().requires_grad_()
    teacher = LinearChain(torch.zeros(2, 3, 3), transitions, mask, start)
    loss = objective(**params)(teacher, LinearChain(emissions, free, mask, start))
    if "emission" not in str(params):
        assert loss.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    loss.sum().backward()
    assert torch.isfinite(emissions.grad).all()
    assert free.grad is None or torch.isfinite(free.grad).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"type": "posterior", "temperature": 0}, "temperature must be above 0"),
        ({"type": "emission", "temperature": -1}, "temperature must be above 0"),
        ({"type": "structural", "temperature": 0}, "temperature must be above 0"),
        ({"type": "top_k", "k": 0}, "k must be at least 1"),
        ({"type": "weighted_top_k", "k": -1}, "k must be at least 1"),
        ({"type": "posterior", "direction": "up"}, "direction must be one of forward, reverse"),
        ({"type": "top_k", "reduction": "max"}, "reduction must be one of sum, mean"),
        ({"type": "sum", "objectives": []}, "at least one objective"),
        ({"type": "sum", "objectives": [{"type": "posterior"}], "weights": [1, 2]}, "2 weights"),
    ],
)
def test_impossible_settings_are_refused(params, message):
    with pytest.raises(ConfigurationError, match=message):
        objective(**params)


def test_defaults_are_those_of_the_released_code():
    assert objective(type="top_k").k == 1
    assert objective(type="weighted_top_k").k == 10
    assert PosteriorObjective().temperature == 1.0
