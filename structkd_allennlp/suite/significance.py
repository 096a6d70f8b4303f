"""Whether the rows of a suite really differ from its baseline."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, TypedDict

import numpy as np
from allennlp.common.checks import ConfigurationError
from scipy import stats  # type: ignore[import-untyped]

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite.comparison import Column, Comparison, System
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.files import COUNTS_NAME
from structkd_allennlp.training.metrics import score

STATISTICS_NAME = "statistics.json"
RESAMPLES = 2000
CONFIDENCE = 0.95

Counts = Dict[str, np.ndarray]
"""By language, the counts of each sentence."""


class Difference(TypedDict):
    """The difference between a row and the baseline, over the seeds that both have."""

    difference: float
    low: float
    high: float
    p_value: float
    p_value_by_seed: Dict[str, float]
    t_test_p_value: Optional[float]


class RowStatistics(TypedDict):
    gap_closed: Optional[float]
    languages: Optional[Difference]
    zero_shot: Optional[Difference]


Statistics = Dict[str, RowStatistics]
"""By row, without the baseline: the content of `statistics.json`."""


def statistics_of(comparison: Comparison, directory: Path) -> Statistics:
    """
    # Parameters

    comparison : `Comparison`
    directory : `Path`
        The suite's, with the counts of its runs.

    # Raises

    `ConfigurationError` if the counts of a finished run are missing, or count other sentences than
    the baseline's.
    """
    sentences = SentenceCounts(directory)
    baseline = _counts(comparison.baseline, sentences)
    statistics: Statistics = {}
    for row in comparison.rows:
        if row is comparison.baseline:
            continue
        counts = _counts(row, sentences)
        pairs = {seed: (counts[seed], baseline[seed]) for seed in counts if seed in baseline}
        for seed, (ours, theirs) in pairs.items():
            for language, own in ours.items():
                # The last count, of gold spans or of tokens, does not depend on the model.
                if not np.array_equal(own[:, -1], theirs[language][:, -1]):
                    raise ConfigurationError(
                        f"{row.name} and {comparison.baseline.name} with seed {seed} were "
                        f"evaluated on different {language} sentences: delete {COUNTS_NAME} in the "
                        f"folders of their runs under {directory} and run the suite again"
                    )
        columns = (comparison.average, comparison.zero_shot_average)
        languages, zero_shot = (_difference(comparison, row, x, pairs) for x in columns)
        statistics[row.name] = {
            "gap_closed": comparison.gap_closed(row),
            "languages": languages,
            "zero_shot": zero_shot,
        }
    return statistics


def read_statistics(directory: Path) -> Statistics:
    """
    # Raises

    `ConfigurationError` if `directory` has no statistics.
    """
    path = directory / STATISTICS_NAME
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}): copy it from the suite's directory, where it "
            "lies beside the report"
        ) from error


class BootstrapTest(NamedTuple):
    """
    A difference in percentage points, its confidence interval, and the two-sided p-value under the
    hypothesis that there is none.
    """

    difference: float
    low: float
    high: float
    p_value: float


class BootstrapTests(NamedTuple):
    """For the mean over the seeds, and for each seed on its own."""

    mean: BootstrapTest
    by_seed: List[BootstrapTest]


def paired_bootstrap(row: Sequence[np.ndarray], baseline: Sequence[np.ndarray]) -> BootstrapTests:
    """
    Tests whether these trained models would also differ on other sentences of the same kind. It
    says nothing about other seeds. All seeds are tested on the same resamples of the sentences, so
    the mean over seeds is paired too.

    # Parameters

    row, baseline : `Sequence[np.ndarray]`
        For each seed, `(sentences, 2 or 3)`: the counts that `training.metrics.score` takes, of the
        same sentences throughout.
    """
    systems = np.stack([*row, *baseline])
    sentences, quantities = systems.shape[1:]
    parts = systems.transpose(0, 2, 1).reshape(-1, sentences).astype(float)

    def differences(indices: np.ndarray, axis: int) -> np.ndarray:
        # A resample is a vector that says how often it has each sentence. Sums over it are then one
        # matrix product, ten times faster than picking sentences for each system (paired=True).
        resamples = indices.reshape(-1, sentences)
        weights = np.stack([np.bincount(one, minlength=sentences) for one in resamples])
        sums = (parts @ weights.T.astype(float)).reshape(2, len(row), quantities, -1)
        students, baselines = 100 * score(np.moveaxis(sums, 2, -1))
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
    Tests whether models trained with other seeds would also differ on these sentences.

    # Parameters

    row, baseline : `Sequence[float]`
        One score per seed.

    # Returns

    `Optional[float]` : the two-sided p-value; `None` for fewer than two seeds.
    """
    if len(row) < 2:
        return None
    if list(row) == list(baseline):
        return 1.0
    return float(stats.ttest_rel(row, baseline).pvalue)


def _difference(
    comparison: Comparison,
    row: System,
    column: Column,
    pairs: Dict[int, Tuple[Counts, Counts]],
) -> Optional[Difference]:
    if not pairs or not column.languages:
        return None
    ours, theirs = (
        [np.concatenate([pair[i][x] for x in column.languages]) for pair in pairs.values()]
        for i in (0, 1)
    )
    if len(ours[0]) < 2:
        return None  # One sentence cannot be resampled.
    mean, by_seed = paired_bootstrap(ours, theirs)
    return {
        "difference": mean.difference,
        "low": mean.low,
        "high": mean.high,
        "p_value": mean.p_value,
        "p_value_by_seed": {
            str(seed): test.p_value for seed, test in zip(pairs, by_seed, strict=True)
        },
        "t_test_p_value": paired_t_test(
            *([system.values(column)[x] for x in pairs] for system in (row, comparison.baseline))
        ),
    }


def _counts(system: System, counts: SentenceCounts) -> Dict[int, Counts]:
    """By seed."""
    by_seed = {run["seed"]: run for run in system.runs if run["seed"] is not None}
    return {seed: counts.of(run) for seed, run in sorted(by_seed.items())}


def _p_value(differences: np.ndarray) -> float:
    """
    Twice the share of resamples on the other side of 0. The measured difference counts as one more
    resample, so that p is never 0.
    """
    other_side = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (other_side + 1) / (len(differences) + 1)))
