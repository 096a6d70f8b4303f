"""
How good the probabilities of a tagger are: calibration, Brier score, selective prediction.

Each figure is a function of sums over sentences, as `training.metrics.score` is. So the same
figure of a resample of the sentences, for a bootstrap, costs one matrix product.
"""

import math
from typing import Any, Callable, NamedTuple

import numpy as np

from structkd_allennlp.training.metrics import score

BINS = 10


class Figure(NamedTuple):
    """
    A figure of one test file.

    # Parameters

    parts : `np.ndarray`
        `(sentences, quantities)`: what each sentence adds.
    of : `Callable[[np.ndarray], np.ndarray]`
        From sums of parts, `(..., quantities)`, to the figure, `(...)`: NaN where there is nothing
        to measure. With weights `(resamples, sentences)`, how often each resample has each
        sentence, `figure.of(weights @ figure.parts)` is the figure of each.
    """

    parts: np.ndarray
    of: Callable[[np.ndarray], np.ndarray]

    @property
    def value(self) -> float:
        """Of all sentences."""
        return float(self.of(self.parts.sum(axis=0)))


def mean_of_all(totals: Any, counts: Any) -> Figure:
    """
    The mean of something over all sentences, tokens or entities.

    # Parameters

    totals, counts : array-like
        `(sentences,)`: the sum over each sentence, and over how many.
    """
    return Figure(np.stack([totals, counts], axis=1).astype(float), ratio_of_sums)


def brier_scores(probabilities: Any, outcomes: Any) -> np.ndarray:
    """
    The score of Brier (1950) of each prediction: sum over classes j of (p_j - [j = outcome])^2,
    between 0 and 2; the less, the better.

    # Parameters

    probabilities : array-like
        `(predictions, classes)`.
    outcomes : array-like
        `(predictions,)`, int; -1 where the outcome is none of the classes.
    """
    probabilities, outcomes = np.asarray(probabilities, dtype=float), np.asarray(outcomes)
    known = outcomes >= 0
    of_outcome = probabilities[np.arange(len(outcomes)), np.where(known, outcomes, 0)] * known
    return (probabilities**2).sum(axis=1) - 2 * of_outcome + 1


def equal_mass_bins(confidences: Any, bins: int = BINS) -> np.ndarray:
    """
    The number of the bin of each confidence, from 0. All bins have about the same number of
    confidences, but for equal ones, which share a bin: so the order of the sentences is of no
    account, and there may be fewer bins.
    """
    confidences = np.asarray(confidences, dtype=float)
    n = len(confidences)
    first = [math.ceil(n * b / bins) for b in range(1, bins)]
    edges = np.sort(confidences)[[i for i in first if i < n]]
    numbers = np.searchsorted(edges, confidences, side="right")
    # Without the bins that have nothing in them.
    return np.unique(numbers, return_inverse=True)[1].reshape(-1)


def calibration_error(
    confidences: Any, correct: Any, sentence: Any, sentences: int, bins: int = BINS
) -> Figure:
    """
    The expected calibration error (Naeini et al., 2015; Guo et al., 2017),

        sum over bins b of n_b / n * |accuracy_b - mean confidence_b|,

    between 0 and 1, with the bins of `equal_mass_bins` (Nguyen and O'Connor, 2015, for sequences).
    It is 0 for a calibrated tagger and infinitely many predictions; of few predictions it is
    greater, so compare only what is measured on the same sentences. Resamples keep the bins.

    # Parameters

    confidences : array-like
        `(predictions,)`, between 0 and 1.
    correct : array-like
        `(predictions,)`, bool.
    sentence : array-like
        `(predictions,)`, int: which sentence each is in.
    sentences : `int`
        How many there are.
    """
    confidences, correct = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    numbers = equal_mass_bins(confidences, bins)
    # By bin the sum of correct - confidence, and at last the number of predictions.
    sentence, parts = np.asarray(sentence, dtype=int), np.zeros((sentences, bins + 1))
    np.add.at(parts, (sentence, numbers), correct - confidences)
    parts[:, -1] = np.bincount(sentence, minlength=sentences)
    return Figure(parts, calibration_error_of_sums)


def calibration_error_of_sums(sums: np.ndarray) -> np.ndarray:
    """What `calibration_error` is of the sums of its parts."""
    return ratio_of_sums(np.stack([np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1]], axis=-1))


def selective_score(counts: Any, confidences: Any, coverage: float) -> Figure:
    """
    The score, F1 or accuracy between 0 and 1, of the most confident sentences alone: selective
    prediction (El-Yaniv and Wiener, 2010). Resamples keep the threshold.

    # Parameters

    counts : array-like
        `(sentences, 2 or 3)`, as `training.metrics.score` takes them.
    confidences : array-like
        `(sentences,)`, in any unit. Of equally confident sentences, those that come first are
        taken.
    coverage : `float`
        The share of the sentences that is answered, more than 0 and at most 1; rounded up to whole
        sentences.
    """
    counts = np.asarray(counts, dtype=float)
    # Not 81 of 100 for 0.8000000000000001.
    covered = math.ceil(round(coverage * len(counts), 6))
    parts = np.zeros_like(counts)
    most = _most_confident(confidences)[:covered]
    parts[most] = counts[most]
    return Figure(parts, score)


def risk_coverage_area(counts: Any, confidences: Any) -> float:
    """
    The area under the risk-coverage curve: the mean, over all coverages 1/n, 2/n, ... n/n, of
    1 - `selective_score`, between 0 and 1; the less, the better. The risk is 0 while nothing is
    predicted and there is nothing to find. NaN without sentences.
    """
    counts = np.asarray(counts, dtype=float)
    if not len(counts):
        return math.nan
    sums = counts[_most_confident(confidences)].cumsum(axis=0)
    return float(np.where(sums[:, 1:].any(axis=1), 1 - score(sums), 0.0).mean())


def _most_confident(confidences: Any) -> np.ndarray:
    """The sentences, most confident first."""
    return np.argsort(-np.asarray(confidences, dtype=float), kind="stable")


def ratio_of_sums(sums: np.ndarray) -> np.ndarray:
    """What `mean_of_all` is of the sums of its parts: the first by the last."""
    total, count = sums[..., 0], sums[..., -1]
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
