"""How sure a suite's differences to its baseline are."""

from pathlib import Path
from typing import Dict, Optional, Tuple, TypedDict

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite.comparison import Column, Comparison, System
from structkd_allennlp.suite.files import COUNTS_NAME, read_json
from structkd_allennlp.suite.statistics import paired_bootstrap, paired_t_test

STATISTICS_NAME = "statistics.json"

Counts = Dict[str, np.ndarray]
"""By language, those of each sentence."""


class Difference(TypedDict):
    """Between a row and the baseline, over the seeds that both have."""

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
"""By row, all but the baseline: what `statistics.json` holds."""


def statistics_of(comparison: Comparison, directory: Path) -> Statistics:
    """
    # Parameters

    comparison : `Comparison`
    directory : `Path`
        Of the suite, with the counts of its runs.

    # Raises

    `ConfigurationError` if the counts of a finished run are missing, or are of other sentences than
    the baseline's.
    """
    baseline = _counts(comparison.baseline, directory)
    statistics: Statistics = {}
    for row in comparison.rows:
        if row is comparison.baseline:
            continue
        counts = _counts(row, directory)
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

    `ConfigurationError` if `directory` has none.
    """
    path = directory / STATISTICS_NAME
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} can not be read ({error}): copy it from the suite's directory, where the "
            "report is"
        ) from error


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
        return None  # One sentence can not be resampled.
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


def _counts(system: System, directory: Path) -> Dict[int, Counts]:
    """By seed."""
    counts = {}
    by_seed = {run["seed"]: run for run in system.runs if run["seed"] is not None}
    for seed, run in sorted(by_seed.items()):
        path = directory / run["directory"] / COUNTS_NAME
        try:
            content = read_json(path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{path} can not be read ({error}): run the suite again, which makes it anew"
            ) from error
        counts[seed] = {language: np.asarray(own) for language, own in content.items()}
    return counts
