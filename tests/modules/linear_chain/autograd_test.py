"""The gradients of a `LinearChain`, by finite differences, and those that are refused."""

import pytest
import torch

from structkd_allennlp.distillation.objectives import DistillationObjective
from structkd_allennlp.modules.linear_chain import LinearChain
from tests.modules.linear_chain.reference import QUANTITIES
from tests.modules.potentials import NAMES, SHAPES, dead_end, potentials


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
        assert chain._inference.messages.unreliable.tolist() == [1]
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
