"""What a suite is there to measure: differences between rows, over seeds and sentences."""

from pathlib import Path
from statistics import fmean
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple, TypedDict

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite.comparison import Column, Comparison, ContrastSummary, Run, Scores
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.files import COUNTS_NAME
from structkd_allennlp.suite.significance import (
    RESAMPLES,
    bootstrap_p_value,
    holm,
    random_effects_test,
)
from structkd_allennlp.training.metrics import score

CONTRASTS_NAME = "contrasts.json"
_RESAMPLES_AT_A_TIME = 100

_Run = Tuple[str, int]
"""A row and a seed."""

Parts = Dict[str, Dict[_Run, np.ndarray]]
"""By language and run, what each sentence adds to the sums: `(sentences, quantities)`."""


class ContrastTest(TypedDict):
    """
    The difference between averages over languages, in points, and its test, over seeds and
    sentences. What needs two seeds is `None` where there is one. `p_value_of_seeds` takes the
    sentences as given, `p_value_of_sentences` the models.
    """

    by_seed: Dict[str, float]
    difference: float
    low: Optional[float]
    high: Optional[float]
    p_value: Optional[float]
    corrected_p_value: Optional[float]
    p_value_of_seeds: Optional[float]
    p_value_of_sentences: Optional[float]


class ContrastStatistics(TypedDict):
    """What is `None` is not measured yet, or there are no such languages."""

    name: str
    rows: List[str]
    against: List[str]
    by_language: Dict[str, Dict[str, float]]
    languages: Optional[ContrastTest]
    zero_shot: Optional[ContrastTest]


def contrasts_of(comparison: Comparison, directory: Path) -> List[ContrastStatistics]:
    """
    The contrasts of a suite or, where it has none, those of each row against the baseline, tested
    over the seeds that all their rows have. P-values are corrected (Holm) for the number of tests,
    which are those of all contrasts, trained and zero-shot.

    # Parameters

    comparison : `Comparison`
    directory : `Path`
        The suite's, with the counts of its runs.

    # Raises

    `ConfigurationError` if the counts of a finished run are missing, or count other sentences than
    those of another.
    """
    contrasts = comparison.contrasts
    runs = runs_of(comparison, contrasts)
    found = differences(comparison, contrasts, runs, _counts(runs, directory), score, 100)
    correct(found)
    return found


def against_baseline(
    comparison: Comparison, contrasts: Iterable[ContrastStatistics]
) -> Dict[str, ContrastStatistics]:
    """By row, the contrast between this row alone and its baseline alone."""
    by_name = {contrast["name"]: contrast for contrast in contrasts}
    return {row: by_name[name] for row, name in comparison.compared.items() if name in by_name}


def runs_of(comparison: Comparison, contrasts: Sequence[ContrastSummary]) -> List[Run]:
    """Those that are done, of the rows that take part in contrasts."""
    used = {name for one in contrasts for name in (*one["rows"], *one["against"])}
    return [run for row in comparison.rows if row.name in used for run in row.runs]


def differences(
    comparison: Comparison,
    contrasts: Sequence[ContrastSummary],
    runs: Sequence[Run],
    parts: Parts,
    of: Callable[[np.ndarray], np.ndarray],
    scale: float,
) -> List[ContrastStatistics]:
    """
    Tests contrasts of any figure that is a function of sums over sentences; p-values are not
    corrected.

    # Parameters

    runs : `Sequence[Run]`
        Of the rows that take part, each with the values of the figure as its `scores`.
    parts : `Parts`
        Of the same runs.
    of : `Callable[[np.ndarray], np.ndarray]`
        From the sums, `(..., quantities)`, to the figure, `(...)`.
    scale : `float`
        What the scores are of it.
    """
    resampled = {
        column.title: _resampled(parts, column, of, scale)
        for column in (comparison.average, comparison.zero_shot_average)
    }
    scores = {run_key(run): run["scores"] for run in runs}
    found: List[ContrastStatistics] = []
    for one in contrasts:
        sides = (one["rows"], one["against"])
        seeds = [{seed for row, seed in scores if row == name} for side in sides for name in side]
        paired = sorted(set.intersection(*seeds))
        languages, zero_shot = (
            _difference(sides, paired, column, scores, resampled[column.title])
            for column in (comparison.average, comparison.zero_shot_average)
        )
        found.append(
            {
                "name": one["name"],
                "rows": one["rows"],
                "against": one["against"],
                "by_language": {
                    column.title: _by_seed(sides, paired, column, scores)
                    for column in comparison.columns
                },
                "languages": languages,
                "zero_shot": zero_shot,
            }
        )
    return found


def correct(contrasts: Sequence[ContrastStatistics]) -> None:
    """Corrects (Holm) their p-values for the number of them, trained and zero-shot."""
    tested = [x for one in contrasts for x in (one["languages"], one["zero_shot"]) if x is not None]
    tested = [x for x in tested if x["p_value"] is not None]
    corrected = holm([x["p_value"] for x in tested if x["p_value"] is not None])
    for one, p_value in zip(tested, corrected, strict=True):
        one["corrected_p_value"] = p_value


def run_key(run: Run) -> _Run:
    row, seed = run["row"], run["seed"]
    assert row is not None
    assert seed is not None
    return row, seed


def _counts(runs: Iterable[Run], directory: Path) -> Parts:
    sentences = SentenceCounts(directory)
    found: Parts = {}
    for run in runs:
        for language, counts in sentences.of(run).items():
            others = found.setdefault(language, {})
            for other in list(others.values())[:1]:
                check_same_sentences(run, language, counts, other)
            others[run_key(run)] = counts
    return found


def check_same_sentences(run: Run, language: str, own: np.ndarray, other: np.ndarray) -> None:
    """
    By the last of their counts, of gold spans or of tokens, which does not depend on the model.
    Raises `ConfigurationError` if that is not the same.
    """
    if not np.array_equal(own[:, -1], other[:, -1]):
        raise ConfigurationError(
            f"{run['directory']} was evaluated on other {language} sentences than another run: "
            f"delete its {COUNTS_NAME} and run the suite again"
        )


def _resampled(
    sentence_parts: Parts, column: Column, of: Callable[[np.ndarray], np.ndarray], scale: float
) -> Dict[_Run, np.ndarray]:
    """
    By run, the average of the figure over the languages on each resample of the sentences:
    `(resamples,)`. The sentences of each language are resampled, the same for all runs.
    """
    rng = np.random.default_rng(0)
    total: Dict[_Run, np.ndarray] = {}
    for language in column.languages:
        by_run = sentence_parts.get(language, {})
        if not by_run:
            return {}
        systems = np.stack(list(by_run.values())).astype(float)
        runs, sentences, quantities = systems.shape
        parts = systems.transpose(0, 2, 1).reshape(-1, sentences)
        scores = []
        for _ in range(RESAMPLES // _RESAMPLES_AT_A_TIME):
            # How often each resample has each sentence.
            weights = rng.multinomial(
                sentences, np.full(sentences, 1 / sentences), _RESAMPLES_AT_A_TIME
            )
            sums = (parts @ weights.T.astype(float)).reshape(runs, quantities, -1)
            scores.append(scale * of(np.moveaxis(sums, 1, -1)))
        for run, own in zip(by_run, np.concatenate(scores, axis=1), strict=True):
            total[run] = total.get(run, 0.0) + own / len(column.languages)
    return total


_Sides = Tuple[List[str], List[str]]


def _by_seed(
    sides: _Sides, seeds: Sequence[int], column: Column, scores: Dict[_Run, Scores]
) -> Dict[str, float]:
    """Over the languages of the column. The runs are done, so they have all of them."""

    def mean(names: Sequence[str], seed: int) -> float:
        return fmean(scores[name, seed][x] for name in names for x in column.languages)

    rows, against = sides
    return {str(seed): mean(rows, seed) - mean(against, seed) for seed in seeds}


def _difference(
    sides: _Sides,
    seeds: Sequence[int],
    column: Column,
    scores: Dict[_Run, Scores],
    resampled: Dict[_Run, np.ndarray],
) -> Optional[ContrastTest]:
    if not seeds or not column.languages:
        return None
    by_seed = _by_seed(sides, seeds, column, scores)
    one, other = (
        np.mean([resampled[name, seed] for name in side for seed in seeds], axis=0)
        for side in sides
    )
    test, of_seeds, of_sentences = None, None, None
    # A resample of few sentences may have none to measure.
    if not np.isnan(one - other).any():
        of_sentences = bootstrap_p_value(one - other)
        if len(seeds) > 1:
            test = random_effects_test(list(by_seed.values()), one - other)
    if len(seeds) > 1:
        of_seeds = random_effects_test(list(by_seed.values())).p_value
    return {
        "by_seed": by_seed,
        "difference": fmean(by_seed.values()),
        "low": test.low if test else None,
        "high": test.high if test else None,
        "p_value": test.p_value if test else None,
        "corrected_p_value": None,
        "p_value_of_seeds": of_seeds,
        "p_value_of_sentences": of_sentences,
    }
