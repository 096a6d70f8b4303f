"""Whether a row is better than the baseline, or only luckier."""

from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

RESAMPLES = 2000
CONFIDENCE = 0.95


class BootstrapTest(NamedTuple):
    """
    A difference in percentage points, its confidence interval, and the two-sided p-value of there
    being none.
    """

    difference: float
    low: float
    high: float
    p_value: float


class BootstrapTests(NamedTuple):
    """Of the mean over the seeds, and of each seed on its own."""

    mean: BootstrapTest
    by_seed: List[BootstrapTest]


def micro_score(counts: np.ndarray) -> float:
    """
    # Parameters

    counts : `np.ndarray`
        `(sentences, 3)`: true positives, predicted and gold spans, or `(sentences, 2)`: correct
        tokens and tokens.

    # Returns

    `float` : F1 or accuracy over all sentences together, in percent.
    """
    return float(_scores(*_ratio(counts).sum(axis=1)))


def paired_bootstrap(row: Sequence[np.ndarray], baseline: Sequence[np.ndarray]) -> BootstrapTests:
    """
    Tests whether the difference would be there on other sentences of the same kind, for these
    trained models. What another seed would change it does not see. Every seed is tested on the
    same resampled sentences, so the mean over seeds is paired too.

    # Parameters

    row, baseline : `Sequence[np.ndarray]`
        For each seed the counts of `micro_score`, of the same sentences throughout.
    """
    systems = np.stack([_ratio(counts) for counts in (*row, *baseline)])
    pairs, _, sentences = systems.shape[0] // 2, *systems.shape[1:]
    parts = systems.reshape(-1, sentences)

    def differences(indices: np.ndarray, axis: int) -> np.ndarray:
        # A resample is how often it has each sentence. Sums over it are then one matrix product,
        # an order of magnitude faster than picking the sentences for each system (paired=True).
        resamples = indices.reshape(-1, sentences)
        weights = np.stack([np.bincount(one, minlength=sentences) for one in resamples])
        sums = (parts @ weights.T.astype(float)).reshape(2, pairs, 2, -1)
        students, baselines = _scores(sums[:, :, 0], sums[:, :, 1])
        by_seed = students - baselines
        result = np.concatenate([by_seed.mean(axis=0, keepdims=True), by_seed])
        return result.reshape(-1, *indices.shape[:-1])

    everything = np.arange(sentences)
    result = stats.bootstrap(
        (everything,),
        differences,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    tests = [
        BootstrapTest(float(difference), float(low), float(high), _p_value(resampled))
        for difference, low, high, resampled in zip(
            differences(everything, axis=-1),
            *result.confidence_interval,
            result.bootstrap_distribution,
            strict=True,
        )
    ]
    return BootstrapTests(tests[0], tests[1:])


def paired_t_test(row: Sequence[float], baseline: Sequence[float]) -> Optional[float]:
    """
    Tests whether the difference would be there with other seeds, on these sentences.

    # Parameters

    row, baseline : `Sequence[float]`
        A score for each seed.

    # Returns

    `Optional[float]` : the two-sided p-value; `None` for fewer than two seeds, which say nothing.
    """
    if len(row) < 2:
        return None
    if list(row) == list(baseline):
        return 1.0
    return float(stats.ttest_rel(row, baseline).pvalue)


def _ratio(counts: np.ndarray) -> np.ndarray:
    """`(2, sentences)`: a numerator and a denominator that add up over sentences."""
    correct, *others = np.asarray(counts, dtype=float).T
    # F1 is 2 * correct / (predicted + gold), accuracy is correct / all.
    return np.stack([len(others) * correct, sum(others)])


def _scores(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    # Sentences without any span, predicted or gold, score 0.
    return 100 * numerators / np.where(denominators > 0, denominators, 1)


def _p_value(differences: np.ndarray) -> float:
    """
    Twice the share of resamples on the other side of 0. What was measured counts as one more
    resample, so that p is never 0.
    """
    other_side = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (other_side + 1) / (len(differences) + 1)))
