"""Perplexity by language."""

import math
from collections import Counter
from typing import Any, Dict, List, Optional, Sequence

import torch.distributed as dist
from allennlp.common.util import is_distributed
from allennlp.training.metrics import Metric


@Metric.register("multilingual_perplexity")
class MultilingualPerplexity(Metric):
    """
    The exponential of the mean negative log-likelihood of a token. `get_metric` returns

    - `perplexity`, over all tokens;
    - `perplexity/LANGUAGE`, for every language seen;
    - `perplexity/macro`, the unweighted mean over those languages.

    Under distributed training the sums of all workers are added up when the metric is read, so
    every worker must read it.
    """

    supports_distributed = True

    def __init__(self) -> None:
        self._losses: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    def __call__(  # type: ignore[override]
        self,
        losses: Sequence[float],
        tokens: Sequence[int],
        languages: Sequence[Optional[str]],
    ) -> None:
        """
        # Parameters

        losses, tokens : `Sequence`
            Of each text, the sum of the negative log-likelihoods, and of how many tokens.
        languages : `Sequence[Optional[str]]`
            The language of each text; `und`, undetermined, where there is none.
        """
        for loss, count, language in zip(losses, tokens, languages, strict=True):
            self._losses[language or "und"] += loss  # type: ignore[assignment]
            self._tokens[language or "und"] += count

    def get_metric(self, reset: bool = False) -> Dict[str, float]:
        losses, tokens = self._all_workers()
        if reset:
            self.reset()
        languages = sorted(language for language, count in tokens.items() if count)
        if not languages:
            return {}
        of_language = {x: _perplexity(losses[x], tokens[x]) for x in languages}
        return {
            "perplexity": _perplexity(sum(losses.values()), sum(tokens.values())),
            **{f"perplexity/{x}": value for x, value in of_language.items()},
            "perplexity/macro": sum(of_language.values()) / len(of_language),
        }

    def _all_workers(self) -> List[Counter[str]]:
        own = [self._losses, self._tokens]
        if not is_distributed():
            return own
        gathered: List[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, own)
        sums: List[Counter[str]] = [Counter(), Counter()]
        for of_worker in gathered:
            for total, counts in zip(sums, of_worker, strict=True):
                total.update(counts)
        return sums

    def reset(self) -> None:
        self._losses = Counter()
        self._tokens = Counter()


def _perplexity(loss: float, tokens: int) -> float:
    try:
        return math.exp(loss / tokens)
    except OverflowError:
        return math.inf
