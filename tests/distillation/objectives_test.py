"""Objectives against enumeration of all label sequences."""

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.distillation.objectives import DistillationObjective, PosteriorObjective
from structkd_allennlp.modules.linear_chain import LinearChain
from tests.modules.linear_chain_test import Enumerated, golden_example, potentials


def pair(requires_grad=False):
    """Teacher and student over the same sentences, and the student's potentials."""
    lengths, labels = [1, 3, 4], 3
    teacher = potentials(1, lengths, labels, positional=True, ends=True)
    student = potentials(2, lengths, labels, positional=False, ends=True)
    inputs = [student[name] for name in ("emissions", "transitions", "start", "end")]
    if requires_grad:
        inputs = [tensor.requires_grad_() for tensor in inputs]
    return teacher, student, inputs


@pytest.mark.parametrize("temperature", [1.0, 2.25])
def test_posterior_equals_enumeration(temperature):
    teacher, student, _ = pair()
    loss = PosteriorObjective(temperature)(
        LinearChain(*teacher.values()), LinearChain(*student.values())
    )
    q_t, q_s = (Enumerated(*p.values()).marginals() for p in (teacher, student))
    q_t, q_s = (q ** (1 / temperature) for q in (q_t, q_s))
    q_t, q_s = (q / q.sum(-1, keepdim=True) for q in (q_t, q_s))
    by_token = -(q_t * q_s.log()).sum(-1)
    expected = temperature**2 * by_token.nan_to_num(0.0).sum(-1)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("temperature", [1.0, 2.25])
def test_posterior_gradient(temperature):
    teacher, student, inputs = pair(requires_grad=True)
    teacher_chain = LinearChain(*teacher.values())

    def function(emissions, transitions, start, end):
        chain = LinearChain(emissions, transitions, student["mask"], start, end)
        return PosteriorObjective(temperature)(teacher_chain, chain)

    assert torch.autograd.gradcheck(function, inputs)


def test_posterior_is_least_where_the_student_is_the_teacher():
    chain = golden_example()
    own = PosteriorObjective()(chain, chain)
    q = torch.tensor([0.46, 0.44, 0.57])
    expected = -(q * q.log() + (1 - q) * (1 - q).log()).sum()
    assert own.item() == pytest.approx(expected.item(), abs=5e-3)
    other = LinearChain(torch.randn(1, 3, 2).double(), chain.transitions[0, 0], chain.mask)
    assert PosteriorObjective()(chain, other).item() > own.item()


def test_what_both_sides_forbid_costs_nothing():
    transitions = torch.zeros(2, 2)
    transitions[0, 1] = -torch.inf
    start = torch.tensor([0.0, -torch.inf])
    mask = torch.ones(1, 3, dtype=torch.bool)
    emissions = torch.randn(1, 3, 2, requires_grad=True)
    teacher = LinearChain(torch.zeros(1, 3, 2), transitions, mask, start)
    loss = PosteriorObjective(2.0)(teacher, LinearChain(emissions, transitions, mask, start))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    loss.sum().backward()
    assert torch.isfinite(emissions.grad).all()


def test_from_params():
    objective = DistillationObjective.from_params(Params({"type": "posterior", "temperature": 2}))
    assert isinstance(objective, PosteriorObjective)
    with pytest.raises(ConfigurationError, match="temperature must be above 0"):
        PosteriorObjective(0.0)
