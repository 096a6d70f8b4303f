"""Distillation losses between two distributions over label sequences."""

from typing import Any, List, Optional

import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from torch import Tensor

from structkd_allennlp.modules.linear_chain import StructuredDistribution


class DistillationObjective(Registrable):
    """
    The loss that pulls a student's distribution towards a teacher's.

    # Parameters

    reduction : `str`, optional (default = `"sum"`)
        Over the tokens of a sentence: `"sum"`, as in the code of Wang et al. (2020), which gives
        long sentences more weight, or `"mean"`. The model takes the mean over sentences.
    """

    compares_emissions = False
    """Whether it looks at the emissions by themselves, without transitions."""

    def __init__(self, reduction: str = "sum") -> None:
        self.reduction = _check_choice("reduction", reduction, "sum", "mean")

    def __call__(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        """
        # Parameters

        teacher, student : `StructuredDistribution`
            Over the same sentences and labels. No gradient goes to the teacher.

        # Returns

        `Tensor` : `(batch,)`, the loss of each sentence, in nats.
        """
        losses = self._losses(teacher, student)
        return losses / student.lengths if self.reduction == "mean" else losses

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        """`(batch,)`, summed over tokens."""
        raise NotImplementedError


def _check_choice(name: str, value: str, *choices: str) -> str:
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


class DivergenceObjective(DistillationObjective):
    """
    The base of the objectives that compare whole distributions. The loss is multiplied by the
    square of the temperature, so that gradients keep their size (Hinton et al., 2015).

    # Parameters

    temperature : `float`, optional (default = `1.0`)
    direction : `str`, optional (default = `"forward"`)
        `"forward"` is the cross-entropy H(teacher, student), which has the gradient of
        KL(teacher || student) and is what Wang et al. use; `"reverse"` is KL(student || teacher).
        That should be infinite, and is huge, where the student allows what the teacher rules out,
        such as labels that the teacher does not have.
    """

    def __init__(self, temperature: float = 1.0, direction: str = "forward", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ConfigurationError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature
        self.direction = _check_choice("direction", direction, "forward", "reverse")

    def _by_token(self, log_t: Tensor, log_s: Tensor, mask: Tensor) -> Tensor:
        """
        `(batch,)`: the divergence of two distributions over the labels of a token, given as
        log-probabilities `(batch, length, labels)`, both tempered.
        """
        log_t = log_t.detach()
        if self.direction == "forward":
            losses = -(log_t.exp() * log_s).sum(-1)
        else:
            losses = (log_s.exp() * (log_s - log_t)).sum(-1)
        return losses.masked_fill(~mask, 0.0).sum(-1) * self.temperature**2

    def _tempered(self, scores: Tensor) -> Tensor:
        """Log-probabilities by label, from unnormalised ones."""
        return torch.log_softmax(scores / self.temperature, dim=-1)


@DistillationObjective.register("emission")
class EmissionObjective(DivergenceObjective):
    """
    The divergence of the softmaxed emission scores, token by token, without transitions (a baseline
    of Wang et al., 2020). Between taggers without transitions, which are softmax classifiers of
    tokens, it is their token-level distillation. The temperature divides the scores.

    Registered as a `DistillationObjective` with name "emission".
    """

    compares_emissions = True

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        log_t, log_s = self._tempered(teacher.emissions), self._tempered(student.emissions)
        return self._by_token(log_t, log_s, student.mask)


@DistillationObjective.register("posterior")
class PosteriorObjective(DivergenceObjective):
    """
    The divergence of the token posteriors, by default
    `-sum_i sum_j q_t(y_i = j | x) log q_s(y_i = j | x)` (Wang et al., 2020, section 3.3), both by
    forward-backward. The temperature turns both into `q^(1 / temperature)`, renormalised, as in
    their released code.

    Registered as a `DistillationObjective` with name "posterior".
    """

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        with torch.no_grad():
            log_t = teacher.log_marginals
        log_s = student.log_marginals
        # At a temperature of 1 they are normalised already.
        if self.temperature != 1.0:
            log_t, log_s = self._tempered(log_t), self._tempered(log_s)
        return self._by_token(log_t, log_s, student.mask)


@DistillationObjective.register("structural")
class StructuralObjective(DivergenceObjective):
    """
    The exact divergence over all label sequences, by default the cross-entropy `H(p_t, p_s)`,
    through pair marginals (Wang et al., 2021, arXiv 2010.05010). The temperature divides all
    potentials.

    Registered as a `DistillationObjective` with name "structural".
    """

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        teacher = teacher.detach().tempered(self.temperature)
        student = student.tempered(self.temperature)
        if self.direction == "forward":
            losses = teacher.cross_entropy(student)
        else:
            losses = student.kl(teacher)
        return losses * self.temperature**2


@DistillationObjective.register("top_k")
class TopKObjective(DistillationObjective):
    """
    The negative log-likelihood of the teacher's k best label sequences, on average:
    `-(1 / k) sum of log p_s(y | x)` (Wang et al., 2020, section 3.1). Where there are fewer than k
    possible sequences, the average is over these.

    Registered as a `DistillationObjective` with name "top_k".

    # Parameters

    k : `int`, optional (default = `1`)
        The default is that of the configuration they released.
    """

    def __init__(self, k: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, not {k}")
        self.k = k

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        paths, scores = teacher.k_best(self.k)
        exists = ~torch.isneginf(scores)
        log_probs = student.log_prob(paths).masked_fill(~exists, 0.0)
        return -(self._weights(scores, exists) * log_probs).sum(-1)

    def _weights(self, scores: Tensor, exists: Tensor) -> Tensor:
        """`(batch, k)`; 0 for what does not exist."""
        return exists / exists.sum(-1, keepdim=True).clamp(min=1)


@DistillationObjective.register("weighted_top_k")
class WeightedTopKObjective(TopKObjective):
    """
    `top_k`, each sequence weighted by its probability under the teacher, renormalised over the k
    (Wang et al., 2020, section 3.2).

    Registered as a `DistillationObjective` with name "weighted_top_k".

    # Parameters

    k : `int`, optional (default = `10`)
    """

    def __init__(self, k: int = 10, **kwargs: Any) -> None:
        super().__init__(k, **kwargs)

    def _weights(self, scores: Tensor, exists: Tensor) -> Tensor:
        return torch.softmax(scores.masked_fill(~exists, -torch.inf), dim=-1).nan_to_num(0.0)


@DistillationObjective.register("sum")
class SumObjective(DistillationObjective):
    """
    A weighted sum of objectives, such as posterior + weighted_top_k (Wang et al., 2020). Each
    keeps its own reduction.

    Registered as a `DistillationObjective` with name "sum".

    # Parameters

    objectives : `List[DistillationObjective]`
    weights : `List[float]`, optional (default = `1.0` for each)
    """

    def __init__(
        self, objectives: List[DistillationObjective], weights: Optional[List[float]] = None
    ) -> None:
        super().__init__()
        if not objectives:
            raise ConfigurationError("a sum of objectives needs at least one objective")
        if weights is None:
            weights = [1.0] * len(objectives)
        if len(weights) != len(objectives):
            raise ConfigurationError(
                f"{len(objectives)} objectives have {len(weights)} weights: give one for each"
            )
        self.objectives = objectives
        self.weights = weights
        self.compares_emissions = any(own.compares_emissions for own in objectives)

    def _losses(self, teacher: StructuredDistribution, student: StructuredDistribution) -> Tensor:
        losses = [
            weight * objective(teacher, student)
            for objective, weight in zip(self.objectives, self.weights, strict=True)
        ]
        return torch.stack(losses).sum(0)
