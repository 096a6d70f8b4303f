"""`LogSpaceForwardBackward`, the reference of all other code, against enumeration."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.log_space import LogSpaceForwardBackward
from tests.modules.enumeration import Enumerated
from tests.modules.potentials import SHAPES, cases, potentials

CASES = cases(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    labels=st.integers(1, 3),
    scales=[1.0, 50.0, 1000.0, 1e6],
    size=1000,
)


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_equals_enumeration(case):
    mask = case["mask"]
    emissions = case["emissions"].masked_fill(~mask.unsqueeze(-1), 0.0)
    case.update(emissions=emissions, start=None, end=None)
    brute = Enumerated(*case.values())
    scores, transitions = (case[n].clamp(min=FORBIDDEN) for n in ("emissions", "transitions"))
    log_space = LogSpaceForwardBackward(scores, transitions, mask)
    torch.testing.assert_close(log_space.log_partition, brute.log_partition)
    torch.testing.assert_close(log_space.marginals, brute.marginals)
    torch.testing.assert_close(log_space.pair_marginals, brute.pair_marginals)
    impossible = (brute.marginals == 0) & mask.unsqueeze(-1)
    # Of what is only improbable the logarithm is still there.
    log_q = log_space.log_marginals
    assert log_q.isfinite().all()
    assert (log_q[impossible] < -700).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("quantity", ["log_partition", "log_marginals", "pair_marginals"])
def test_first_and_second_derivatives(shape, quantity):
    p = potentials(1, [3, 1], 2, positional=shape, ends=False)
    inputs = [p["emissions"].requires_grad_(), p["transitions"].requires_grad_()]
    here = p["mask"].unsqueeze(-1)

    def function(emissions, transitions):
        scores = emissions.masked_fill(~here, 0.0)
        value = getattr(LogSpaceForwardBackward(scores, transitions, p["mask"]), quantity)
        return value * here if quantity == "log_marginals" else value

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_errors_do_not_grow_with_the_length():
    length, labels = 3000, 3
    transitions = potentials(2, [2], labels, positional=False, ends=False)["transitions"]
    scores = torch.full((1, length, labels), 100.0, dtype=torch.float64)
    mask = torch.ones(1, length, dtype=torch.bool)
    log_space = LogSpaceForwardBackward(scores, transitions, mask)
    matrix = transitions.exp()
    # The same by eigenvalues.
    values, vectors = torch.linalg.eig(matrix)
    weights = vectors.sum(0) * torch.linalg.inv(vectors).sum(1)
    largest = values.abs().max()
    total = (weights * (values / largest) ** (length - 1)).sum().real.log()
    expected = total + (length - 1) * largest.log() + length * 100
    assert log_space.log_partition.item() == pytest.approx(expected.item(), rel=1e-13)
    middle = log_space.marginals[0, length // 2]
    torch.testing.assert_close(middle, log_space.marginals[0, length // 3], rtol=1e-10, atol=0)


def test_what_is_forbidden_stays_finite_and_recognisable():
    transitions = torch.tensor([[0.0, FORBIDDEN], [FORBIDDEN, FORBIDDEN]], dtype=torch.float64)
    scores = torch.zeros(2, 3, 2, dtype=torch.float64)
    scores[1] = FORBIDDEN
    scores.requires_grad_()
    log_space = LogSpaceForwardBackward(scores, transitions, torch.ones(2, 3, dtype=torch.bool))
    assert log_space.log_partition[0] == 0
    assert -math.inf < log_space.log_partition[1] < IMPOSSIBLE
    assert log_space.marginals[0].tolist() == [[1.0, 0.0]] * 3
    for value in (log_space.log_partition, log_space.log_marginals, log_space.pair_marginals):
        assert value.isfinite().all()
        (gradient,) = torch.autograd.grad(value.sum(), scores, retain_graph=True)
        assert gradient.isfinite().all()
