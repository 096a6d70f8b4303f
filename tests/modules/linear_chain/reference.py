"""A `LinearChain`'s twin by `LogSpaceForwardBackward`, and what the two are compared in."""

import math
from typing import Callable, Dict, Optional, Protocol, Tuple, Type

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import KBest, LinearChain, StructuredDistribution
from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN, IMPOSSIBLE
from structkd_allennlp.modules.linear_chain.log_space import LogSpaceForwardBackward
from tests.modules.enumeration import Enumerated


class Reference:
    """Takes what a `LinearChain` takes, and shares nothing with its probability space."""

    def __init__(
        self,
        emissions: Tensor,
        transitions: Tensor,
        mask: Tensor,
        start: Optional[Tensor] = None,
        end: Optional[Tensor] = None,
    ) -> None:
        self.mask = mask
        self.lengths = mask.sum(1)
        self.emissions = emissions.masked_fill(~mask.unsqueeze(-1), 0.0)
        self.transitions = transitions.double().clamp(min=FORBIDDEN)
        scores = emissions.double().clamp(min=FORBIDDEN)
        ends = torch.nn.functional.one_hot(mask.sum(1) - 1, mask.size(1)).unsqueeze(-1)
        starts = torch.zeros_like(ends)
        starts[:, 0] = 1
        for potential, here in ((start, starts), (end, ends)):
            if potential is not None:
                of_label = potential.double().clamp(min=FORBIDDEN)
                scores = scores + here * of_label.view(-1, 1, of_label.size(-1))
        scores = scores.masked_fill(scores < IMPOSSIBLE, FORBIDDEN)
        self.scores = scores.masked_fill(~mask.unsqueeze(-1), 0.0)
        self.log_space = LogSpaceForwardBackward(self.scores, self.transitions, mask)
        self.log_z = self.log_space.log_partition

    @property
    def log_partition(self) -> Tensor:
        return self.log_z.masked_fill(self.log_z < IMPOSSIBLE, -math.inf)

    @property
    def log_marginals(self) -> Tensor:
        log_q = self.log_space.log_marginals
        log_q = log_q.masked_fill(log_q < IMPOSSIBLE, FORBIDDEN)
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    @property
    def marginals(self) -> Tensor:
        return self.log_space.marginals

    @property
    def pair_marginals(self) -> Tensor:
        return self.log_space.pair_marginals

    def steps(self, b: int, i: int) -> Tensor:
        return self.transitions[(b, i)[: self.transitions.dim() - 2]]

    def log_prob(self, paths: Tensor) -> Tensor:
        results = []
        for b, n in enumerate(self.mask.sum(1).tolist()):
            path = paths[b, :, :n]
            score = self.scores[b, torch.arange(n), path].sum(-1)
            for i in range(n - 1):
                score = score + self.steps(b, i)[path[:, i], path[:, i + 1]]
            results.append(score - self.log_z[b])
        log_p = torch.stack(results)
        return log_p.masked_fill(
            (log_p < IMPOSSIBLE) | (self.log_z < IMPOSSIBLE)[:, None], -math.inf
        )

    def log_prob_of_observed(self, labels: Tensor, observed: Tensor) -> Tensor:
        other = torch.arange(self.scores.size(-1)) != labels.unsqueeze(-1)
        excluded = other & (observed & self.mask).unsqueeze(-1)
        scores = self.scores.masked_fill(excluded, FORBIDDEN)
        observed_z = LogSpaceForwardBackward(scores, self.transitions, self.mask).log_partition
        impossible = (observed_z < IMPOSSIBLE) | (self.log_z < IMPOSSIBLE)
        return (observed_z - self.log_z).masked_fill(impossible, -math.inf)

    def tempered(self, temperature: float) -> "Reference":
        scores, transitions = self.scores / temperature, self.transitions / temperature
        tempered = Reference(scores, transitions, self.mask)
        tempered.emissions = self.emissions / temperature
        return tempered

    def detach(self) -> "Reference":
        detached = Reference(self.scores.detach(), self.transitions.detach(), self.mask)
        detached.emissions = self.emissions.detach()
        return detached

    @property
    def entropy(self) -> Tensor:
        return self.cross_entropy(self)

    def cross_entropy(self, other: "Reference") -> Tensor:
        transitions = other.transitions
        if transitions.dim() < 4:
            transitions = transitions.reshape(-1, 1, *transitions.shape[-2:])
        expected = (self.marginals * other.scores).sum((1, 2))
        return other.log_z - expected - (self.pair_marginals * transitions).sum((1, 2, 3))

    def kl(self, other: "Reference") -> Tensor:
        return self.cross_entropy(other) - self.entropy

    def k_best(self, k: int = 1) -> KBest:
        """The k best paths to every label, from left to right, as the textbook has it."""
        batch, length, labels = self.scores.shape
        all_paths = torch.zeros(batch, k, length, dtype=torch.long)
        all_scores = torch.full((batch, k), -math.inf, dtype=torch.float64)
        for b, n in enumerate(self.lengths.tolist()):
            # Shape: (labels, ranks) and (labels, ranks, i + 1)
            best = self.scores[b, 0].unsqueeze(1)
            paths = torch.arange(labels).view(labels, 1, 1)
            for i in range(n - 1):
                # Shape: (labels from, labels to, ranks) -> (labels to, labels from * ranks)
                extended = self.steps(b, i).unsqueeze(-1) + best.unsqueeze(1)
                extended = extended.transpose(0, 1).flatten(1)
                best, chosen = extended.topk(min(k, extended.size(1)), dim=1)
                best = best + self.scores[b, i + 1].unsqueeze(1)
                ends = torch.arange(labels).view(labels, 1, 1).expand(-1, best.size(1), -1)
                paths = torch.cat([paths.flatten(0, 1)[chosen], ends], dim=-1)
            ranked, order = best.flatten().sort(descending=True)
            count = min(k, int((ranked >= IMPOSSIBLE).sum()))
            all_scores[b, :count] = ranked[:count]
            all_paths[b, :count, :n] = paths.flatten(0, 1)[order[:count]]
        return KBest(all_paths, all_scores)


class Chain(StructuredDistribution, Protocol):
    """What is compared is more than distillation objectives need."""

    @property
    def pair_marginals(self) -> Tensor: ...

    def log_prob_of_observed(self, labels: Tensor, observed: Tensor) -> Tensor: ...


TWINS: Tuple[Type[Chain], ...] = (LinearChain, Reference, Enumerated)
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
    "kl": lambda chain, other, paths: chain.kl(other),
    "kl_from": lambda chain, other, paths: other.kl(chain),
    "tempered": lambda chain, other, paths: chain.tempered(2.5).log_prob(paths),
}
