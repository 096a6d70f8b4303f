"""Perplexity by language."""

import math
from collections import Counter
from typing import Dict, Optional, Sequence

from allennlp.training.metrics import Metric

from structkd_allennlp.training.distributed import of_all_workers


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
        losses: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for own_losses, own_tokens in of_all_workers((self._losses, self._tokens)):
            losses.update(own_losses)
            tokens.update(own_tokens)
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

    def reset(self) -> None:
        self._losses = Counter()
        self._tokens = Counter()


def _perplexity(loss: float, tokens: int) -> float:
    try:
        return math.exp(loss / tokens)
    except OverflowError:
        return math.inf
