"""
Every quantity of a `LinearChain`, and its gradient, against `LogSpaceForwardBackward` with plain
autograd in float64, on every backend that a CPU has.
"""

import math
from typing import Any, Dict, Iterator, List
from unittest import mock

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from structkd_allennlp.modules.linear_chain import LinearChain, inference
from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.log_space import LogSpaceForwardBackward
from tests.modules.linear_chain.reference import QUANTITIES, Reference
from tests.modules.potentials import (
    NAMES,
    SHAPES,
    STRUCTURES,
    cases,
    dead_end,
    exclude,
    potentials,
)


@pytest.fixture(scope="module", autouse=True, params=["NUMBA", "TORCH"])
def backend(request: pytest.FixtureRequest) -> Iterator[inference.Backend]:
    if request.param == "NUMBA":
        pytest.importorskip("numba")
    backend: inference.Backend = getattr(inference, request.param)
    with mock.patch.object(inference, "backend_for", return_value=backend):
        yield backend


def single(p: Dict[str, Any]) -> Dict[str, Any]:
    return {n: x.float() if n in NAMES and x is not None else x for n, x in p.items()}


def another(p: Dict[str, Any], seed: int) -> Dict[str, Any]:
    """Other potentials, of another shape, over the same sentences; half of the time constrained."""
    lengths, labels = p["mask"].sum(1).tolist(), p["emissions"].size(-1)
    plain = potentials(seed, lengths, labels, positional=SHAPES[seed % 3], ends=True)
    return exclude(plain, STRUCTURES[seed % 4] if seed % 2 else "none", -math.inf, seed)


def some_paths(chain: LinearChain, seed: int) -> Tensor:
    """Of each sentence two random label sequences and the three best, in random order."""
    generator = torch.Generator().manual_seed(seed)
    shape = (chain.batch_size, 2, chain.length)
    random = torch.randint(chain.num_labels, shape, generator=generator)
    paths = torch.cat([random, chain.k_best(3).paths], dim=1)
    return paths[:, torch.randperm(5, generator=generator)]


def assert_same(
    ours: Tensor, theirs: Tensor, name: str, tolerance: float, rounding: float = 0.0
) -> None:
    torch.testing.assert_close(
        ours.double(),
        theirs.double(),
        rtol=tolerance,
        atol=tolerance + rounding,
        equal_nan=False,
        msg=lambda message: f"{name}: {message}",
    )


LARGE = cases(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    labels=st.one_of(st.integers(1, 9), st.sampled_from([33, 200])),
    scales=[1.0, 50.0, 1000.0],
    size=400_000,
)
SMALL = cases(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    labels=st.integers(1, 5),
    scales=[1.0, 50.0, 1000.0],
    size=1000,
)


@settings(max_examples=40, deadline=None)
@given(LARGE, st.integers(0, 1000), st.sampled_from([1, 2, 10]))
def test_float32_equals_log_space_in_float64(case, seed, k):
    mine, theirs = single(case), single(another(case, seed))
    chain, other = LinearChain(*mine.values()), LinearChain(*theirs.values())
    reference, other_reference = Reference(*mine.values()), Reference(*theirs.values())
    paths = some_paths(chain, seed)
    for name, quantity in QUANTITIES.items():
        ours = quantity(chain, other, paths)
        assert ours.dtype == torch.float32
        assert_same(ours, quantity(reference, other_reference, paths), name, 1e-5)
    assert_same(chain.k_best(k).scores, reference.k_best(k).scores, "k_best", 1e-5)


@settings(max_examples=40, deadline=None)
@given(SMALL, st.integers(0, 1000))
def test_gradients_equal_autograd_through_log_space(case, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = [case[n].requires_grad_() for n in NAMES if case[n] is not None]
    theirs = another(case, seed)
    with torch.no_grad():
        paths = some_paths(LinearChain(*case.values()), seed)
    chain, other = LinearChain(*case.values()), LinearChain(*theirs.values())
    reference, other_reference = Reference(*case.values()), Reference(*theirs.values())
    for name, quantity in QUANTITIES.items():
        ours = quantity(chain, other, paths)
        expected = quantity(reference, other_reference, paths)
        weights = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
        sums = [
            (weights * value.masked_fill(expected < IMPOSSIBLE, 0.0)).sum()
            for value in (ours, expected)
        ]
        gradients, expected_gradients = (
            torch.autograd.grad(
                loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for loss in sums
        )
        # Expectations of what is forbidden are huge: their differences have lost that many digits.
        rounding = 1e-13 * sums[1].abs().item()
        for mine, log_space in zip(gradients, expected_gradients, strict=True):
            assert_same(mine, log_space, f"gradient of {name}", 1e-7, rounding)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_only_sentences_that_need_it_are_computed_in_log_space(shape, scale):
    p = dead_end(shape)
    p.update({n: p[n] * scale for n in NAMES})
    theirs = another(p, 3)
    chain, reference = LinearChain(*p.values()), Reference(*p.values())
    other, other_reference = LinearChain(*theirs.values()), Reference(*theirs.values())
    assert chain._inference.messages.unreliable.tolist() == [1]
    for name, quantity in QUANTITIES.items():
        paths = some_paths(chain, 0)
        ours = quantity(chain, other, paths)
        assert_same(ours, quantity(reference, other_reference, paths), name, 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sentence_without_a_legal_sequence_leaves_the_others_alone(shape):
    p = dead_end(shape)
    p["emissions"][0, 1] = -math.inf
    kept = {
        n: x[1:] if len(x) == 3 and x.dim() > (n == "transitions") + 1 else x for n, x in p.items()
    }
    inputs = [p[n].requires_grad_() for n in NAMES]
    chain, reference = LinearChain(*p.values()), Reference(*(x.detach() for x in kept.values()))
    paths = torch.zeros(3, 2, 3, dtype=torch.long)
    assert chain.log_partition[0] == -math.inf
    assert (chain.log_prob(paths)[0] == -math.inf).all()
    assert chain.log_prob_of_observed(paths[:, 0], chain.mask)[0] == -math.inf
    assert (chain.k_best(2).scores[0] == -math.inf).all()
    for name, quantity in QUANTITIES.items():
        ours = quantity(chain, chain, paths)
        theirs = quantity(reference, reference, paths[1:])
        assert not ours.isnan().any()
        assert_same(ours[1:], theirs, name, 1e-9)
        assert_finite_gradients(ours, inputs, name)
    assert chain.sample(3).shape == (3, 3, 3)


def assert_finite_gradients(value: Tensor, inputs: List[Tensor], name: str) -> None:
    loss = value.masked_fill(value.isinf(), 0.0).sum()
    for gradient in torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True):
        assert gradient is None or gradient.isfinite().all(), name


def test_emissions_that_are_all_forbidden_and_transitions_that_lead_nowhere():
    """Nothing is possible, and no label is to blame more than another."""
    emissions = torch.full((2, 3, 2), -math.inf)
    emissions[1] = 0.0
    transitions = torch.tensor([[-math.inf, 0.0], [-math.inf, -math.inf]])
    mask = torch.tensor([[True] * 3, [True, True, False]])
    inputs = [emissions.requires_grad_(), transitions.requires_grad_()]
    chain = LinearChain(emissions, transitions, mask)
    assert chain.log_partition.tolist() == [-math.inf, 0.0]
    paths = torch.tensor([[[0, 1, 0], [0, 1, 1]]] * 2)
    for name, quantity in QUANTITIES.items():
        value = quantity(chain, chain, paths)
        assert not value.isnan().any(), name
        assert_finite_gradients(value, inputs, name)


# exp(-x) of these is a number that float64 holds with all, with some, and with none of its digits.
@pytest.mark.parametrize("span", [200.0, 400.0, 660.0, 705.0, 712.0, 735.0, 744.0, 760.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_digits_are_lost_near_the_end_of_the_range(span, shape):
    """The best transition and the best emission are of labels that the others make impossible."""
    p = potentials(8, [5, 3, 5], 4, positional=shape, ends=False)
    transitions, emissions = p["transitions"], p["emissions"]
    transitions[..., 3, 3] = span
    transitions[..., 0, 1] = -80.0
    emissions[:2, :, 3] = -math.inf
    # In the last sentence what is best is also possible, if hardly.
    emissions[2, :, 3] = -span / 2
    p["emissions"], p["transitions"] = emissions.requires_grad_(), transitions.requires_grad_()
    chain, reference = LinearChain(*p.values()), Reference(*p.values())
    inputs = [emissions, transitions]
    paths = some_paths(chain, 1)
    for name, quantity in QUANTITIES.items():
        ours, theirs = (quantity(c, c, paths) for c in (chain, reference))
        assert_same(ours, theirs, name, 1e-9)
        likely = theirs.detach() > -1e5
        for mine, log_space in zip(
            torch.autograd.grad(ours[likely].sum(), inputs, retain_graph=True),
            torch.autograd.grad(theirs[likely].sum(), inputs, retain_graph=True),
            strict=True,
        ):
            assert_same(mine, log_space, f"gradient of {name}", 1e-9)
    # Small probabilities too have all their digits.
    torch.testing.assert_close(chain.marginals, reference.marginals, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        chain.pair_marginals, reference.pair_marginals, rtol=1e-6, atol=1e-200
    )


HOSTILE = [1e4, -1e4, 1e30, -1e30, -math.inf, -3.4e38]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("everywhere", [False, True])
def test_no_input_makes_nan_or_an_infinite_gradient(name, value, everywhere):
    p = single(dead_end(False, lengths=[4, 4, 1]))
    if everywhere:
        p[name][:] = value
    else:
        p[name].view(-1)[1::5] = value
    inputs = [p[n].requires_grad_() for n in NAMES]
    chain = LinearChain(*p.values())
    paths = some_paths(chain, 2)
    for quantity_name, quantity in QUANTITIES.items():
        result = quantity(chain, chain.tempered(2.5), paths)
        assert not result.isnan().any(), quantity_name
        assert_finite_gradients(result, inputs, quantity_name)
    assert not chain.k_best(3).scores.isnan().any()
    assert chain.sample(2).shape == (3, 2, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_nan_is_not_hidden(name, shape):
    p = dead_end(shape)
    p[name].view(-1)[0] = math.nan
    chain, other = LinearChain(*p.values()), LinearChain(*dead_end(shape).values())
    # A sequence that meets it, and one that may not.
    paths = torch.tensor([[[0, 0, 0], [2, 1, 2]]]).expand(3, -1, -1)
    for quantity_name, quantity in QUANTITIES.items():
        value = quantity(chain, other, paths)
        assert value[0].isnan().any(), quantity_name
        if name == "emissions":
            assert not value[1:].isnan().any(), quantity_name
    chain.k_best(1)
    chain.k_best(3)


def test_inputs_may_lie_in_memory_in_any_order():
    p = potentials(9, [4, 2, 3], 3, positional=True, ends="by sentence")
    turned = {n: x.transpose(0, -1).contiguous().transpose(0, -1) for n, x in p.items()}
    chain, other = LinearChain(*p.values()), LinearChain(*turned.values())
    paths = some_paths(chain, 0)
    for name, quantity in QUANTITIES.items():
        assert_same(quantity(other, other, paths), quantity(chain, chain, paths), name, 1e-12)
    assert torch.equal(other.k_best(3).paths, chain.k_best(3).paths)


@pytest.mark.parametrize("labels", [1, 4])
@pytest.mark.parametrize("k", [1, 2, 10, 100])
def test_sequences_that_are_equally_good_are_all_found(k, labels):
    mask = torch.tensor([[True] * 3, [True] * 2 + [False], [True] + [False] * 2])
    best = LinearChain(torch.zeros(3, 3, labels), torch.zeros(labels, labels), mask).k_best(k)
    for b, n in enumerate([3, 2, 1]):
        exist = min(k, labels**n)
        assert best.scores[b].tolist() == [0.0] * exist + [-math.inf] * (k - exist)
        assert len(best.paths[b, :exist].unique(dim=0)) == exist


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_long_sentences_do_not_need_log_space(shape, scale):
    p = potentials(10, [600, 300, 1], 5, positional=shape, ends=True, scale=scale)
    chain, reference = LinearChain(*p.values()), Reference(*p.values())
    assert chain._inference.messages.unreliable is None
    assert_same(chain.log_partition, reference.log_partition, "log_partition", 1e-12)
    assert_same(chain.log_marginals, reference.log_marginals, "log_marginals", 1e-10)
    assert_same(chain.pair_marginals, reference.pair_marginals, "pair_marginals", 1e-12)
    assert_same(chain.entropy, reference.entropy, "entropy", 1e-10)


def test_a_number_that_has_lost_digits_does_not_come_back_by_rescaling():
    # Every way to label 1 is by a product at the end of the range of float64.
    emissions = torch.zeros(1, 2, 4, dtype=torch.double)
    emissions[:, :, 3] = emissions[0, 0, 1] = -math.inf
    transitions = torch.zeros(4, 4, dtype=torch.double)
    transitions[3, 3] = 440
    transitions[:, 1] -= 300
    mask = torch.ones(1, 2, dtype=torch.bool)
    expected = LogSpaceForwardBackward(emissions.clamp(min=FORBIDDEN), transitions, mask)
    chain = LinearChain(emissions, transitions, mask)
    torch.testing.assert_close(chain.marginals, expected.marginals, rtol=1e-9, atol=0)
