"""A `LinearChain`'s twin: the same distribution, by listing every label sequence."""

import itertools
import math
from typing import Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from structkd_allennlp.modules.linear_chain import KBest
from structkd_allennlp.modules.linear_chain.constants import FORBIDDEN

Path = Tuple[int, ...]


class Enumerated:
    """Takes what a `LinearChain` takes, in float64. Differentiable by plain autograd."""

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
        self._transitions = transitions, start, end
        self.shape = emissions.shape
        self.scores: List[Dict[Path, Tensor]] = []
        for b, n in enumerate(self.lengths.tolist()):
            scores = {}
            for path in itertools.product(range(emissions.size(2)), repeat=n):
                score = sum((emissions[b, i, y] for i, y in enumerate(path)), torch.zeros(()))
                for i, (y, z) in enumerate(itertools.pairwise(path)):
                    score = score + transitions[(b, i)[: transitions.dim() - 2]][y, z]
                if start is not None:
                    score = score + (start if start.dim() == 1 else start[b])[path[0]]
                if end is not None:
                    score = score + (end if end.dim() == 1 else end[b])[path[-1]]
                scores[path] = score
            self.scores.append(scores)
        self.log_partition = torch.stack(
            [torch.stack(list(s.values())).logsumexp(0) for s in self.scores]
        )

    def tempered(self, temperature: float) -> "Enumerated":
        transitions, start, end = (
            None if x is None else x / temperature for x in self._transitions
        )
        assert transitions is not None
        return Enumerated(self.emissions / temperature, transitions, self.mask, start, end)

    def detach(self) -> "Enumerated":
        transitions, start, end = (None if x is None else x.detach() for x in self._transitions)
        assert transitions is not None
        return Enumerated(self.emissions.detach(), transitions, self.mask, start, end)

    def log_probs(self, b: int) -> Dict[Path, Tensor]:
        return {path: s - self.log_partition[b] for path, s in self.scores[b].items()}

    @property
    def marginals(self) -> Tensor:
        result = torch.zeros(self.shape, dtype=torch.float64)
        for b in range(self.shape[0]):
            for path, log_p in self.log_probs(b).items():
                for i, y in enumerate(path):
                    result[b, i, y] = result[b, i, y] + log_p.exp()
        return result

    @property
    def log_marginals(self) -> Tensor:
        marginals = self.marginals
        impossible = marginals == 0
        log_q = marginals.masked_fill(impossible, 1.0).log().masked_fill(impossible, FORBIDDEN)
        return log_q.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    @property
    def pair_marginals(self) -> Tensor:
        batch, length, labels = self.shape
        result = torch.zeros(batch, length - 1, labels, labels, dtype=torch.float64)
        for b in range(batch):
            for path, log_p in self.log_probs(b).items():
                for i, (y, z) in enumerate(itertools.pairwise(path)):
                    result[b, i, y, z] += log_p.exp()
        return result

    def log_prob(self, paths: Tensor) -> Tensor:
        if paths.dim() == 2:
            return self.log_prob(paths.unsqueeze(1)).squeeze(1)
        rows = []
        for b, n in enumerate(self.lengths.tolist()):
            scores = [self.scores[b][tuple(path)] for path in paths[b, :, :n].tolist()]
            rows.append(torch.stack(scores) - self.log_partition[b])
        return torch.stack(rows)

    def log_prob_of_observed(self, labels: Tensor, observed: Tensor) -> Tensor:
        result = []
        for b, n in enumerate(self.lengths.tolist()):
            seen = [i for i in range(n) if observed[b, i]]
            fitting = [
                s - self.log_partition[b]
                for path, s in self.scores[b].items()
                if all(path[i] == labels[b, i] for i in seen)
            ]
            result.append(torch.stack(fitting).logsumexp(0))
        return torch.stack(result)

    @property
    def entropy(self) -> Tensor:
        return self.cross_entropy(self)

    def cross_entropy(self, other: "Enumerated") -> Tensor:
        return self._expected(lambda mine, theirs: -theirs, other)

    def kl(self, other: "Enumerated") -> Tensor:
        return self._expected(lambda mine, theirs: mine - theirs, other)

    def _expected(self, cost: Callable[[Tensor, Tensor], Tensor], other: "Enumerated") -> Tensor:
        """Of the log-probabilities that both give a sequence."""
        result = []
        for b in range(self.shape[0]):
            mine, theirs = self.log_probs(b), other.log_probs(b)
            possible = [path for path in mine if mine[path] > -math.inf]
            costs = [mine[p].exp() * cost(mine[p], theirs[p]) for p in possible]
            result.append(torch.stack(costs).sum())
        return torch.stack(result)

    def k_best(self, k: int = 1) -> KBest:
        batch, length, _ = self.shape
        paths = torch.zeros(batch, k, length, dtype=torch.long)
        scores = torch.full((batch, k), -math.inf, dtype=torch.float64)
        for b in range(batch):
            possible = {path: s.item() for path, s in self.scores[b].items() if s > -math.inf}
            for rank, path in enumerate(sorted(possible, key=lambda y: -possible[y])[:k]):
                paths[b, rank, : len(path)] = torch.tensor(path)
                scores[b, rank] = possible[path]
        return KBest(paths, scores)
