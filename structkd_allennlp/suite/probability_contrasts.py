"""Whether the probabilities of the rows of a suite really differ."""

from pathlib import Path
from typing import Dict, List

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrasts import (
    ContrastStatistics,
    check_same_sentences,
    correct,
    differences,
    run_key,
    runs_of,
)
from structkd_allennlp.suite.contrasts import Parts as PartsOfRuns
from structkd_allennlp.suite.probabilities import TESTED, Probabilities, comparison_by
from structkd_allennlp.suite.probability_parts import FIGURES, Parts, ProbabilityParts

PROBABILITY_CONTRASTS_NAME = "probability_contrasts.json"

ProbabilityContrasts = Dict[str, List[ContrastStatistics]]
"""By name of the figure: the content of `probability_contrasts.json`."""


def probability_contrasts_of(
    comparison: Comparison,
    probabilities: Probabilities,
    parts: ProbabilityParts,
    directory: Path,
) -> ProbabilityContrasts:
    """
    The contrasts of a suite or, where it has none, each row against the baseline, by each of the
    figures `TESTED`: as `contrasts_of` tests them, over the seeds whose runs have a record of their
    probabilities. P-values are corrected (Holm) for the number of tests, of all figures together.

    Where of no run anything is left, they are those of `probability_contrasts.json`, if there are.

    # Parameters

    comparison : `Comparison`
    probabilities : `Probabilities`
        Of its runs.
    parts : `ProbabilityParts`
        Of the same.
    directory : `Path`
        The suite's.

    # Raises

    `ConfigurationError` if runs were evaluated on different sentences.
    """
    contrasts = comparison.contrasts
    by_run: Dict[str, Parts] = {}
    for run in runs_of(comparison, contrasts):
        own = parts.of(run)
        if own is not None:
            other = next(iter(by_run.values()), own)
            for language, of_run in own["token_brier"].items():
                check_same_sentences(run, language, of_run, other["token_brier"][language])
            by_run[run["directory"]] = own
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
        by_language: PartsOfRuns = {}
        for run in runs:
            for language, of_run in by_run[run["directory"]][tested.name].items():
                by_language.setdefault(language, {})[run_key(run)] = of_run
        if runs:
            found[tested.name] = differences(
                by_figure, contrasts, runs, by_language, FIGURES[tested.name], tested.scale
            )
    correct([one for contrasts in found.values() for one in contrasts])
    return found
