"""The autograd functions of a linear chain: their gradients are closed forms, never recorded."""

from enum import Enum
from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.messages import ForwardBackward


class PairForm(Enum):
    """Which expectations of pairs of neighbouring labels to compute."""

    NONE = "none"
    SUMMED = "summed"
    """`(batch, labels, labels)`: over the positions of a sentence."""
    BY_POSITION = "by position"
    """`(batch, length - 1, labels, labels)`."""


class LogPartition(torch.autograd.Function):
    """log Z, `(batch,)`. Its gradient is the expectations."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, messages: ForwardBackward) -> Tensor:
        ctx.save_for_backward(scores, transitions)
        ctx.messages = messages
        return messages.log_partition.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Any, ...]:
        scores, transitions = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return (*ctx.messages.weighted_expectations(gradient), None)
        # `Expectations` has a gradient itself, for losses that need a second one.
        form = PairForm.BY_POSITION if transitions.dim() == 4 else PairForm.SUMMED
        marginals, pairs = Expectations.apply(scores, transitions, ctx.messages, form)
        of_scores = marginals * gradient.view(-1, 1, 1)
        of_pairs = pairs * gradient.view(-1, *[1] * (pairs.dim() - 1))
        # Shape: (batch, labels, labels) -> (labels, labels) for one matrix
        return of_scores, of_pairs.sum(0) if transitions.dim() == 2 else of_pairs, None


class Expectations(torch.autograd.Function):
    """The marginals `(batch, length, labels)`, and the expected pairs in a form, or `None`."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, transitions: Tensor, messages: ForwardBackward, form: PairForm
    ) -> Tuple[Tensor, Optional[Tensor]]:
        ctx.save_for_backward(scores, transitions)
        ctx.messages = messages
        ctx.set_materialize_grads(False)
        marginals = messages.marginals.detach()
        if form is PairForm.SUMMED:
            return marginals, messages.transition_counts()
        return marginals, messages.pair_marginals() if form is PairForm.BY_POSITION else None

    @staticmethod
    def backward(ctx: Any, of_marginals: Optional[Tensor], of_pairs: Optional[Tensor]) -> Any:
        # The Hessian of log Z is symmetric, so its product with the gradient is a jvp.
        with torch.no_grad():
            scores = ctx.messages.marginals.new_zeros(()) if of_marginals is None else of_marginals
            gradients = ctx.messages.jvp(scores.expand(ctx.messages.shape), of_pairs)
        if torch.is_grad_enabled():
            potentials = ctx.saved_tensors
            gradients = tuple(_NotTwiceDifferentiable.apply(x, *potentials) for x in gradients)
        return (*gradients, None, None)


class _NotTwiceDifferentiable(torch.autograd.Function):
    """A function of the potentials whose gradient is an error rather than a silent 0."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, scores: Tensor, transitions: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise NotImplementedError(
            "a loss made of marginals or log marginals has no second derivative here: "
            "LogSpaceForwardBackward has one, at a cost in time and memory"
        )


class Scores(torch.autograd.Function):
    """
    The log potentials of labels, `(batch, length, labels)`: emissions in float64, 0 where masked,
    with those of start and end added. These belong to the first and the last token, so no recursion
    needs to know of them.
    """

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, mask: Tensor, start: Optional[Tensor], end: Optional[Tensor]
    ) -> Tensor:
        scores = emissions.to(torch.float64, copy=True).clamp_(min=FORBIDDEN)
        scores.masked_fill_(~mask.unsqueeze(-1), 0)
        ends = torch.arange(len(mask), device=mask.device), mask.sum(1) - 1
        if start is not None:
            scores[:, 0] += as_log_potentials(start)
        if end is not None:
            scores[ends] += as_log_potentials(end)
        ctx.save_for_backward(scores)
        ctx.ends = ends
        ctx.inputs = [None if x is None else (x.dtype, x.dim()) for x in (emissions, start, end)]
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        # Another chain may expect what this one forbids. Where masked it is 0 already.
        gradient = gradient.masked_fill(ctx.saved_tensors[0] < IMPOSSIBLE, 0)
        # Shape: (batch, length, labels) and twice (batch, labels)
        parts = gradient, gradient[:, 0], gradient[ctx.ends]
        of_emissions, of_start, of_end = (
            # Shape: (batch, labels) -> (labels,) where all sentences share start or end
            None
            if given is None
            else (part if part.dim() == given[1] else part.sum(0)).to(given[0])
            for part, given in zip(parts, ctx.inputs, strict=True)
        )
        return of_emissions, None, of_start, of_end


class Logarithm(torch.autograd.Function):
    """log q; where q is 0, `FORBIDDEN` with a gradient of 0."""

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor) -> Tensor:
        ctx.save_for_backward(probabilities)
        return probabilities.log().clamp_(min=FORBIDDEN)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (probabilities,) = ctx.saved_tensors
        return (gradient / probabilities).masked_fill(probabilities == 0, 0)


def as_log_potentials(tensor: Tensor) -> Tensor:
    """The same in float64, with `FORBIDDEN` for minus infinity."""
    return tensor.double().clamp(min=FORBIDDEN)
