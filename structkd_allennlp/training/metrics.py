"""Tagging metrics by language, and the one place where counts become scores."""

from collections import Counter
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from allennlp.training.metrics import Metric

from structkd_allennlp.data.tag_schemes import entity_spans
from structkd_allennlp.training.distributed import of_all_workers

# What one key of a counter counts: (language, quantity, type), where type is an entity type, or a
# label where tokens are what is scored.
_Key = Tuple[str, str, str]


def score(counts: Any) -> np.ndarray:
    """
    The score of sentences whose counts have been added up.

    # Parameters

    counts : array-like
        `(..., 3)`, correct, predicted and gold spans, for F1; or `(..., 2)`, correct ones out of
        all, for accuracy, precision or recall.

    # Returns

    `np.ndarray` : `(...)`, between 0 and 1; 0 where there is nothing to score.
    """
    correct, *others = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    # F1, the harmonic mean of precision and recall, is 2 * correct / (predicted + gold).
    whole = np.sum(others, axis=0)
    return len(others) * correct / np.where(whole > 0, whole, 1)


def sentence_counts(predicted: Sequence[str], gold: Sequence[str], spans: bool = True) -> List[int]:
    """
    What one sentence adds to the counts of `score`: its correct, predicted and gold spans, or,
    where `spans` is false, its correct tokens and all its tokens.
    """
    if not spans:
        return [sum(p == g for p, g in zip(predicted, gold, strict=True)), len(gold)]
    found, wanted = set(entity_spans(predicted)), set(entity_spans(gold))
    return [len(found & wanted), len(found), len(wanted)]


@Metric.register("multilingual_tagging")
class MultilingualTaggingMetrics(Metric):
    """
    Token accuracy and, for span tasks, exact-match span precision, recall and F1, which equal
    conlleval's figures (as fractions). Everything is counted on tag strings, so a gold tag that
    the model's vocabulary has never seen is simply a tag that no prediction equals.

    `get_metric` returns, each between 0 and 1:

    - `accuracy`, and for span tasks `precision-overall`, `recall-overall`, `f1-measure-overall`,
      over all sentences;
    - `accuracy/LANGUAGE`, `f1-measure/LANGUAGE` and so on for every language seen;
    - `accuracy/macro` and `f1-measure/macro`: the unweighted means over those languages;
    - with `verbose`, `precision-TYPE`, `recall-TYPE` and `f1-measure-TYPE` of every entity type (or
      label, where the task has no spans).

    Under distributed training the counts of all workers are added up when the metric is read, so
    every worker must read it.

    # Parameters

    spans : `bool`, optional (default = `True`)
        Whether the tags encode spans.
    verbose : `bool`, optional (default = `False`)
    """

    supports_distributed = True

    def __init__(self, spans: bool = True, verbose: bool = False) -> None:
        self._spans = spans
        self._verbose = verbose
        self._counts: Counter[_Key] = Counter()

    def __call__(  # type: ignore[override]
        self,
        predictions: Sequence[Sequence[str]],
        gold_tags: Sequence[Sequence[str]],
        languages: Optional[Sequence[Optional[str]]] = None,
    ) -> None:
        """
        # Parameters

        predictions, gold_tags : `Sequence[Sequence[str]]`
            The tags of each sentence, without padding.
        languages : `Sequence[Optional[str]]`, optional
            The language of each sentence; `und`, undetermined, where there is none.

        # Raises

        `ValueError` where a sentence has more or fewer predicted than gold tags.
        """
        for i, (predicted, gold) in enumerate(zip(predictions, gold_tags, strict=True)):
            language = (languages[i] if languages else None) or "und"
            if len(predicted) != len(gold):
                raise ValueError(
                    f"a sentence has {len(predicted)} predicted and {len(gold)} gold tags"
                )
            correct = sum(p == g for p, g in zip(predicted, gold, strict=True))
            self._counts[language, "tokens", ""] += len(gold)
            self._counts[language, "correct tokens", ""] += correct
            found, wanted = set(self._items(predicted)), set(self._items(gold))
            for quantity, items in (
                ("found", found),
                ("wanted", wanted),
                ("correct", found & wanted),
            ):
                for item in items:
                    self._counts[language, quantity, item[0]] += 1

    def _items(self, tags: Sequence[str]) -> List[Any]:
        """What is scored by type: entities, or else tokens by label. The type comes first."""
        if self._spans:
            return list(entity_spans(tags))
        return [(tag, i) for i, tag in enumerate(tags)] if self._verbose else []

    def get_metric(self, reset: bool = False) -> Dict[str, float]:
        counts: Counter[_Key] = sum(of_all_workers(self._counts), Counter())
        if reset:
            self.reset()
        languages = sorted({language for language, _, _ in counts})
        if not languages:
            return {}

        overall = self._scores(_select(counts))
        metrics = {"accuracy": overall.pop("accuracy")}
        metrics.update({f"{name}-overall": value for name, value in overall.items()})
        by_language = {
            language: self._scores(_select(counts, language=language)) for language in languages
        }
        for language, scores in by_language.items():
            metrics.update({f"{name}/{language}": value for name, value in scores.items()})
        for name in ("accuracy", "f1-measure") if self._spans else ("accuracy",):
            values = [scores[name] for scores in by_language.values()]
            metrics[f"{name}/macro"] = sum(values) / len(values)
        if self._verbose:
            for type_ in sorted({type_ for _, _, type_ in counts if type_}):
                scores = _precision_recall_f1(_select(counts, type_=type_))
                metrics.update({f"{name}-{type_}": value for name, value in scores.items()})
        return metrics

    def _scores(self, counts: Mapping[str, int]) -> Dict[str, float]:
        scores = {"accuracy": float(score([counts["correct tokens"], counts["tokens"]]))}
        if self._spans:
            scores.update(_precision_recall_f1(counts))
        return scores

    def reset(self) -> None:
        self._counts = Counter()


def _select(
    counts: Mapping[_Key, int], language: Optional[str] = None, type_: Optional[str] = None
) -> Counter[str]:
    selected: Counter[str] = Counter()
    for (of_language, quantity, of_type), count in counts.items():
        if language in (None, of_language) and type_ in (None, of_type):
            selected[quantity] += count
    return selected


def _precision_recall_f1(counts: Mapping[str, int]) -> Dict[str, float]:
    correct, found, wanted = counts["correct"], counts["found"], counts["wanted"]
    return {
        "precision": float(score([correct, found])),
        "recall": float(score([correct, wanted])),
        "f1-measure": float(score([correct, found, wanted])),
    }


class Means(Metric):
    """
    Named quantities, each averaged over all that it was counted for, such as sentences. Under
    distributed training they are added up over all workers when they are read, so that a worker may
    have nothing to count, but has to read them whenever another does.
    """

    supports_distributed = True

    def __init__(self, *names: str) -> None:
        self._names = names
        self.reset()

    def __call__(self, name: str, total: float, count: int) -> None:  # type: ignore[override]
        """Counts `count` things whose values add up to `total`."""
        self._totals[name] += total
        self._counts[name] += count

    def get_metric(self, reset: bool = False) -> Dict[str, float]:
        """The mean by name; 0 where nothing was counted."""
        workers = of_all_workers((self._totals, self._counts))
        if reset:
            self.reset()
        means = {}
        for name in self._names:
            total = sum(totals[name] for totals, _ in workers)
            count = sum(counts[name] for _, counts in workers)
            means[name] = total / max(count, 1)
        return means

    def reset(self) -> None:
        self._totals = dict.fromkeys(self._names, 0.0)
        self._counts = dict.fromkeys(self._names, 0)
