"""Distillation losses between two linear chains."""

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
            Over the same sentences and labels.

        # Returns

        `Tensor` : `(batch,)`, the loss of each sentence, summed over its tokens, in nats.
        """
        raise NotImplementedError


@DistillationObjective.register("posterior")
class PosteriorObjective(DistillationObjective):
    """
    The cross-entropy of the token posteriors, `-sum_i sum_j q_t(y_i = j | x) log q_s(y_i = j | x)`
    (Wang et al., 2020, section 3.3), both by forward-backward.

    With a temperature T other than 1, as in their released code: both sides become
    `q^(1 / T)`, renormalised, and the loss is multiplied by T^2, so that gradients keep their size.

    Registered as a `DistillationObjective` with name "posterior".

    # Parameters

    temperature : `float`, optional (default = `1.0`)
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if temperature <= 0:
            raise ConfigurationError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature

    def __call__(self, teacher: LinearChain, student: LinearChain) -> Tensor:
        with torch.no_grad():
            q_t = torch.softmax(teacher.log_marginals / self.temperature, dim=-1)
        log_q_s = student.log_marginals
        if self.temperature != 1.0:
            log_q_s = torch.log_softmax(log_q_s / self.temperature, dim=-1)
        by_token = -(q_t * log_q_s).sum(-1) * student.mask
        return by_token.sum(-1) * self.temperature**2
