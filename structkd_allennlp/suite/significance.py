"""The statistics of a suite's tests: over seeds, over sentences, over both, and of many at once."""

from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

RESAMPLES = 2000
CONFIDENCE = 0.95


class RandomEffectsTest(NamedTuple):
    """A difference, its confidence interval, and the two-sided p-value if there is none."""

    difference: float
    low: float
    high: float
    p_value: float


def random_effects_test(
    by_seed: Sequence[float], resampled: Sequence[float] = ()
) -> RandomEffectsTest:
    """
    Tests whether models trained with other seeds would differ on other sentences of the same kind.

    The variance of the mean over seeds is taken to be the sum of two: that between seeds, divided
    by their number, and that between sentences. The test is Student's t with the degrees of
    freedom of Satterthwaite (1946). (To resample seeds as well as sentences, a hierarchical
    bootstrap, would find far too much with few seeds: three that agree by chance, which one in four
    triples does, agree in every resample.)

    # Parameters

    by_seed : `Sequence[float]`
        The difference with each seed; two or more.
    resampled : `Sequence[float]`, optional
        The mean difference over the seeds on each resample of the sentences. Without any it is the
        paired t-test over the seeds, which says nothing about other sentences.
    """
    mean = float(np.mean(by_seed))
    of_seeds = float(np.var(by_seed, ddof=1)) / len(by_seed)
    of_sentences = float(np.var(resampled, ddof=1)) if len(resampled) else 0.0
    variance = of_seeds + of_sentences
    if variance == 0:
        return RandomEffectsTest(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    # Sentences are so many that their variance counts as known.
    freedom = np.inf if of_seeds == 0 else variance**2 * (len(by_seed) - 1) / of_seeds**2
    student = stats.t(freedom)
    half = float(student.ppf((1 + CONFIDENCE) / 2)) * variance**0.5
    p_value = 2 * float(student.sf(abs(mean) / variance**0.5))
    return RandomEffectsTest(mean, mean - half, mean + half, p_value)


def bootstrap_p_value(resampled: Sequence[float]) -> Optional[float]:
    """
    Tests whether these trained models would also differ on other sentences of the same kind; it
    says nothing about other seeds. The two-sided p-value is twice the share of the resamples in
    which the difference is 0 or on the other side of it. The measured difference counts as one more
    resample, so that p is never 0.

    # Parameters

    resampled : `Sequence[float]`
        The difference on each resample of the sentences.

    # Returns

    `Optional[float]` : `None` where all resamples have the same difference, as of one sentence.
    """
    differences = np.asarray(resampled)
    if np.ptp(differences) == 0:
        return 1.0 if differences[0] == 0 else None
    other_side = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (other_side + 1) / (len(differences) + 1)))


def holm(p_values: Sequence[float]) -> List[float]:
    """
    The p-values corrected for their number by Holm (1979): the chance that any hypothesis that
    holds is rejected stays below the level, whatever the dependence between them.
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = least
    return corrected
