"""How good the probabilities of a suite's taggers are, by run and language."""

import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite.comparison import Comparison, Run
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.files import COUNTS_NAME, PROBABILITIES_NAME
from structkd_allennlp.training.calibration import (
    Figure,
    calibration_error,
    mean_of_all,
    risk_coverage_area,
    selective_score,
)
from structkd_allennlp.training.probability_record import UNIT, ProbabilityRecord, read_records

FIGURES_NAME = "probabilities.json"
COVERAGES = (100, 90, 80, 70, 60, 50)
"""In percent of the sentences."""
RANKS = (1, 5, 10)

Probabilities = Dict[str, Dict[str, Dict[str, float]]]
"""By directory of the run, language and name of the figure: the content of `probabilities.json`."""


class Shown(NamedTuple):
    """A figure as a column of a table, and what it is multiplied by there."""

    name: str
    title: str
    scale: float = 100


# What is also tested.
TESTED = (
    Shown("nll", "NLL", 1),
    Shown("token_calibration_error", "ECE tokens"),
    Shown("token_brier", "Brier tokens"),
)


def figures_of(record: ProbabilityRecord, counts: np.ndarray) -> Dict[str, Figure]:
    """
    By name, the figures of one tagger on one test file:

    - `nll`: of the gold sequence, in nats a sentence, over the sentences whose gold sequence the
      tagger can give; `impossible`: the share of the others;
    - `token_calibration_error`: of the marginal probabilities of the predicted tags; `token_brier`,
      a token, over all labels;
    - `entity_calibration_error`: of the probabilities of the predicted entities;
      `entity_brier`: the mean of (p - [it is gold])^2 over the entities that are predicted, gold
      or both. A gold entity that is missed counts with the probability that the tagger gave it, as
      else a tagger that predicts little would seem the better;
    - `gold_in_1`, `gold_in_5`, `gold_in_10`: the share of the sentences whose gold sequence is
      among the k best;
    - `selective_100`, ...: F1 or accuracy of the most confident sentences, by percent covered. The
      confidence is the probability of the predicted sequence.

    All are fractions but for `nll`; those of entities are NaN where there are none.

    # Parameters

    record : `ProbabilityRecord`
    counts : `np.ndarray`
        `(sentences, 2 or 3)`, of the same sentences.
    """
    sentences = len(record.tokens)
    every = np.ones(sentences)
    possible = np.isfinite(record.gold_nll)
    token_in = np.repeat(np.arange(sentences), record.tokens)
    entity_in = np.repeat(np.arange(sentences), record.entities)
    probability, predicted = record.entity_probability * UNIT, record.entity_predicted
    squared = (probability - record.entity_gold) ** 2
    figures = {
        "nll": mean_of_all(np.where(possible, record.gold_nll, 0), possible),
        "impossible": mean_of_all(~possible, every),
        "token_calibration_error": calibration_error(
            record.token_probability * UNIT, record.token_correct, token_in, sentences
        ),
        "token_brier": mean_of_all(record.brier, record.tokens),
        "entity_calibration_error": calibration_error(
            probability[predicted], record.entity_gold[predicted], entity_in[predicted], sentences
        ),
        "entity_brier": mean_of_all(
            np.bincount(entity_in, weights=squared, minlength=sentences), record.entities
        ),
    }
    for k in RANKS:
        within = (record.gold_rank > 0) & (record.gold_rank <= k)
        figures[f"gold_in_{k}"] = mean_of_all(within, every)
    for coverage in COVERAGES:
        figures[f"selective_{coverage}"] = selective_score(
            counts, -record.predicted_nll, coverage / 100
        )
    return figures


def probabilities_of(comparison: Comparison, directory: Path) -> Probabilities:
    """
    The values of `figures_of`, and `risk_coverage_area`, of all runs that have a record of their
    probabilities. Where the directory of a run is gone, they are those of `probabilities.json`.
    What cannot be measured is left out.

    # Parameters

    comparison : `Comparison`
    directory : `Path`
        The suite's.

    # Raises

    `ConfigurationError` for a record that cannot be read or is one of other sentences.
    """
    sentence_counts = SentenceCounts(directory)
    kept = directory / FIGURES_NAME
    earlier: Probabilities = read_json(kept) if kept.exists() else {}
    found: Probabilities = {}
    for run in (run for system in comparison.systems for run in system.runs):
        own = directory / run["directory"]
        records = records_of(own / PROBABILITIES_NAME)
        if records is not None:
            counts = sentence_counts.of(run)
            found[run["directory"]] = {
                language: _values(run, language, record, counts.get(language, np.zeros((0, 2))))
                for language, record in records.items()
            }
        elif run["directory"] in earlier and not (own / COUNTS_NAME).exists():
            found[run["directory"]] = earlier[run["directory"]]
    return found


def records_of(path: Path) -> Optional[Dict[str, ProbabilityRecord]]:
    """Those of a run, or `None` if there are none."""
    try:
        return read_records(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}): delete it and the {COUNTS_NAME} beside it, and run "
            "the suite again to make both"
        ) from error


def _values(
    run: Run, language: str, record: ProbabilityRecord, counts: np.ndarray
) -> Dict[str, float]:
    if len(counts) != len(record.tokens):
        raise ConfigurationError(
            f"{run['directory']} has the counts of {len(counts)} {language} sentences and the "
            f"probabilities of {len(record.tokens)}: delete its {COUNTS_NAME} and run the suite "
            "again"
        )
    values = {name: figure.value for name, figure in figures_of(record, counts).items()}
    values["risk_coverage_area"] = risk_coverage_area(counts, -record.predicted_nll)
    return {name: value for name, value in values.items() if not math.isnan(value)}


def comparison_by(
    comparison: Comparison, probabilities: Probabilities, name: str, scale: float = 100
) -> Comparison:
    """The comparison of the same runs, as far as they have it, by one of the figures."""
    runs: List[Run] = []
    for run in comparison.results["runs"]:
        own = probabilities.get(run["directory"])
        if run["status"] == "done" and own is not None:
            scores = {x: scale * values[name] for x, values in own.items() if name in values}
            runs.append({**run, "scores": scores})
        else:
            runs.append({**run, "status": "waiting"})
    return Comparison({**comparison.results, "runs": runs})


def shown(comparison: Comparison) -> List[Shown]:
    """What a table of the suite's probabilities shows, in order."""
    columns = list(TESTED)
    if comparison.suite["metric"] != "accuracy":
        columns.append(Shown("entity_calibration_error", "ECE entities"))
        columns.append(Shown("entity_brier", "Brier entities"))
    columns += [
        Shown(f"gold_in_{k}", f"gold in {k} best" if k > 1 else "gold is best") for k in RANKS
    ]
    columns.append(Shown("selective_80", f"{comparison.metric} at 80%"))
    return columns


Curves = Dict[str, Dict[str, List[float]]]
"""By kind of languages and system, the mean score at each of `COVERAGES`."""


def selective_curves(comparison: Comparison, probabilities: Probabilities) -> Curves:
    """Averages over the languages, and means over the seeds, in percent."""
    by_coverage = [comparison_by(comparison, probabilities, f"selective_{x}") for x in COVERAGES]
    columns = {
        "trained languages": comparison.average,
        "zero-shot languages": comparison.zero_shot_average,
    }
    curves: Curves = {}
    for title, column in columns.items():
        if not column.languages:
            continue
        # The systems of every comparison are the same, in the same order.
        for systems in zip(*(one.systems for one in by_coverage), strict=True):
            means = [x.mean for system in systems if (x := system.spread(column))]
            if len(means) == len(COVERAGES):
                curves.setdefault(title, {})[systems[0].name] = means
    return curves
