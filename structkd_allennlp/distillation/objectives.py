"""Distillation losses between two linear chains."""

from typing import List, Optional

import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from torch import Tensor

from structkd_allennlp.modules.linear_chain import LinearChain


class DistillationObjective(Registrable):
    """What a student's distribution is pulled towards a teacher's by."""

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        """
        # Parameters

        teacher, student : `LinearChain`
            Over the same sentences and labels. No gradient goes to the teacher.

        # Returns

        `Tensor` : `(batch,)`, the loss of each sentence, in nats.
        """
        raise NotImplementedError


def _check_temperature(temperature: float) -> float:
    if temperature <= 0:
        raise ConfigurationError(f"temperature must be above 0, not {temperature}")
    return temperature


def _check_k(k: int) -> int:
    if k < 1:
        raise ConfigurationError(f"k must be at least 1, not {k}")
    return k


def _token_cross_entropy(
    teacher: Tensor, student: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """
    `(batch,)`: the cross-entropy of two distributions over labels a token, given as unnormalised
    log-probabilities `(batch, length, labels)`, both tempered, times the temperature squared, so
    that gradients keep their size (Hinton et al., 2015).
    """
    p_t = torch.softmax(teacher.detach() / temperature, dim=-1)
    log_p_s = torch.log_softmax(student / temperature, dim=-1)
    return -(p_t * log_p_s).sum(-1).masked_fill(~mask, 0.0).sum(-1) * temperature**2


@DistillationObjective.register("emission")
class EmissionObjective(DistillationObjective):
    """
    The cross-entropy of the softmaxed emission scores, token by token, without transitions (Wang et
    al., 2020, a baseline of theirs). Between taggers that have no transitions, which are softmax
    classifiers of tokens, this is their token-level distillation.

    Registered as a `DistillationObjective` with name "emission".

    # Parameters

    temperature : `float`, optional (default = `1.0`)
        Divides the emission scores of both; the loss is multiplied by its square.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = _check_temperature(temperature)

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        return _token_cross_entropy(
            teacher.emissions, student.emissions, student.mask, self.temperature
        )


@DistillationObjective.register("posterior")
class PosteriorObjective(DistillationObjective):
    """
    The cross-entropy of the token posteriors, `-sum_i sum_j q_t(y_i = j | x) log q_s(y_i = j | x)`
    (Wang et al., 2020, section 3.3), both by forward-backward.

    Registered as a `DistillationObjective` with name "posterior".

    # Parameters

    temperature : `float`, optional (default = `1.0`)
        Turns both posteriors into `q^(1 / temperature)`, renormalised, as in their released code;
        the loss is multiplied by its square.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = _check_temperature(temperature)

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        with torch.no_grad():
            log_q_t = teacher.log_marginals
        return _token_cross_entropy(log_q_t, student.log_marginals, student.mask, self.temperature)


@DistillationObjective.register("top_k")
class TopKObjective(DistillationObjective):
    """
    The negative log-likelihood of the teacher's k best label sequences, on average:
    `-(1 / k) sum of log p_s(y | x)` (Wang et al., 2020, section 3.1). Where fewer than k sequences
    are possible, it is the average over those.

    Registered as a `DistillationObjective` with name "top_k".

    # Parameters

    k : `int`, optional (default = `1`)
        The default is that of their released configuration.
    """

    def __init__(self, k: int = 1) -> None:
        self.k = _check_k(k)

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
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

    def __init__(self, k: int = 10) -> None:
        super().__init__(k)

    def _weights(self, scores: Tensor, exists: Tensor) -> Tensor:
        return torch.softmax(scores.masked_fill(~exists, -torch.inf), dim=-1).nan_to_num(0.0)


@DistillationObjective.register("structural")
class StructuralObjective(DistillationObjective):
    """
    The exact cross-entropy `H(p_t, p_s)` over all label sequences, through the teacher's pair
    marginals (Wang et al., 2021, arXiv 2010.05010).

    Registered as a `DistillationObjective` with name "structural".

    # Parameters

    temperature : `float`, optional (default = `1.0`)
        Divides all potentials of both; the loss is multiplied by its square.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = _check_temperature(temperature)

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        teacher = teacher.detach().tempered(self.temperature)
        return teacher.cross_entropy(student.tempered(self.temperature)) * self.temperature**2


@DistillationObjective.register("sum")
class SumObjective(DistillationObjective):
    """
    A weighted sum of objectives, such as posterior + weighted_top_k (Wang et al., 2020).

    Registered as a `DistillationObjective` with name "sum".

    # Parameters

    objectives : `List[DistillationObjective]`
    weights : `List[float]`, optional (default = `1` for each)
    """

    def __init__(
        self, objectives: List[DistillationObjective], weights: Optional[List[float]] = None
    ) -> None:
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

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        losses = [
            weight * objective(teacher, student)
            for objective, weight in zip(self.objectives, self.weights, strict=True)
        ]
        return torch.stack(losses).sum(0)
