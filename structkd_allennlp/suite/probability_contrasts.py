"""Whether the probabilities of the rows of a suite really differ."""

from pathlib import Path
from typing import Dict, List

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite.comparison import Comparison, ContrastSummary
from structkd_allennlp.suite.contrasts import (
    ContrastStatistics,
    Parts,
    correct,
    differences,
    run_key,
    runs_of,
)
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.files import COUNTS_NAME, PROBABILITIES_NAME
from structkd_allennlp.suite.probabilities import (
    TESTED,
    Probabilities,
    comparison_by,
    figures_of,
    records_of,
)
from structkd_allennlp.training.calibration import Figure

PROBABILITY_CONTRASTS_NAME = "probability_contrasts.json"

ProbabilityContrasts = Dict[str, List[ContrastStatistics]]
"""By name of the figure: the content of `probability_contrasts.json`."""


def probability_contrasts_of(
    comparison: Comparison, probabilities: Probabilities, directory: Path
) -> ProbabilityContrasts:
    """
    The contrasts of a suite or, where it has none, each row against the baseline, by each of the
    figures `TESTED`: as `contrasts_of` tests them, over the seeds whose runs have a record of their
    probabilities. P-values are corrected (Holm) for the number of tests, of all figures together.

    Where no run has its record any more, they are those of `probability_contrasts.json`, if there
    are.

    # Parameters

    comparison : `Comparison`
    probabilities : `Probabilities`
        Of its runs.
    directory : `Path`
        The suite's.

    # Raises

    `ConfigurationError` if runs were evaluated on different sentences.
    """
    contrasts = comparison.contrasts
    by_run = _figures(comparison, contrasts, directory)
    kept = directory / PROBABILITY_CONTRASTS_NAME
    if not by_run:
        earlier: ProbabilityContrasts = read_json(kept) if kept.exists() else {}
        return earlier
    found: ProbabilityContrasts = {}
    for tested in TESTED:
        by_figure = comparison_by(comparison, probabilities, tested.name, tested.scale)
        runs = [
            run
            for run in runs_of(by_figure, contrasts)
            if run["directory"] in by_run
            and all(
                x in run["scores"]
                for column in (comparison.average, comparison.zero_shot_average)
                for x in column.languages
            )
        ]
        parts: Parts = {}
        of = None
        for run in runs:
            for language, figures in by_run[run["directory"]].items():
                figure = figures[tested.name]
                parts.setdefault(language, {})[run_key(run)] = figure.parts
                of = figure.of
        if of is not None:
            found[tested.name] = differences(by_figure, contrasts, runs, parts, of, tested.scale)
    correct([one for contrasts in found.values() for one in contrasts])
    return found


def _figures(
    comparison: Comparison, contrasts: List[ContrastSummary], directory: Path
) -> Dict[str, Dict[str, Dict[str, Figure]]]:
    """By run and language, of those that have a record."""
    sentence_counts = SentenceCounts(directory)
    found: Dict[str, Dict[str, Dict[str, Figure]]] = {}
    tokens: Dict[str, np.ndarray] = {}
    for run in runs_of(comparison, contrasts):
        records = records_of(directory / run["directory"] / PROBABILITIES_NAME)
        if records is None:
            continue
        counts = sentence_counts.of(run)
        for language, record in records.items():
            if not np.array_equal(record.tokens, tokens.setdefault(language, record.tokens)):
                raise ConfigurationError(
                    f"{run['directory']} was evaluated on other {language} sentences than another "
                    f"run: delete its {COUNTS_NAME} and run the suite again"
                )
            figures = figures_of(record, counts[language])
            found.setdefault(run["directory"], {})[language] = figures
    return found
