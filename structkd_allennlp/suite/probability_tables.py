"""The tables of a suite's probabilities."""

from typing import List

from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrast_tables import headline_p_value, tests_of
from structkd_allennlp.suite.probabilities import TESTED, Probabilities, comparison_by, shown
from structkd_allennlp.suite.probability_contrasts import (
    PROBABILITY_CONTRASTS_NAME,
    ProbabilityContrasts,
)
from structkd_allennlp.suite.significance import RESAMPLES
from structkd_allennlp.suite.tables import NOTHING, Cell, Table, seeds_of
from structkd_allennlp.training.calibration import BINS


def probability_tables(comparison: Comparison, probabilities: Probabilities) -> List[Table]:
    """One for the languages trained on, one for the others; none where nothing is recorded."""
    columns = shown(comparison)
    by_figure = [comparison_by(comparison, probabilities, x.name, x.scale) for x in columns]
    tables = []
    for title, languages in (
        ("all languages", comparison.average),
        ("zero-shot languages", comparison.zero_shot_average),
    ):
        if not languages.languages:
            continue
        table = Table(f"Probabilities, {title}", ["", "seeds", *(x.title for x in columns)])
        # The systems of every comparison are the same, in the same order.
        for systems in zip(*(one.systems for one in by_figure), strict=True):
            spreads = [system.spread(languages) for system in systems]
            if any(spreads):
                texts = [
                    systems[0].name,
                    seeds_of(systems[0]),
                    *(str(x or NOTHING) for x in spreads),
                ]
                table.rows.append([Cell(text) for text in texts])
        if table.rows:
            tables.append(table)
    if tables:
        tables[0].notes += _probability_notes(comparison, probabilities)
    return tables


def _probability_notes(comparison: Comparison, probabilities: Probabilities) -> List[str]:
    spans = comparison.suite["metric"] != "accuracy"
    notes = [
        "Averages over the languages (each counts the same), mean ± standard deviation over seeds. "
        "Of NLL, ECE and Brier score less is better. All but NLL are times 100.",
        "NLL: -log of the probability of the gold sequence, in nats a sentence.",
        f"ECE: the expected calibration error, {BINS} bins of equal mass: by how much the "
        "probability of a predicted tag"
        + " or entity"
        * spans
        + " differs from the share that is right. Of few predictions it is never 0, so compare "
        "rows, not languages.",
        "Brier tokens: squared error of the distribution of a token, summed over its labels, from "
        "0 to 200."
        + " Brier entities: that of the probability of an entity, over those that are predicted, "
        "gold or both." * spans,
        "Gold in k best: how often the gold sequence is among the k most probable. "
        f"{comparison.metric} at 80%: that of the 80% of the sentences of which the model is most "
        "confident, by the probability of the predicted sequence.",
    ]
    for system in comparison.systems:
        runs = [run["directory"] for run in system.runs]
        lacking = [directory for directory in runs if directory not in probabilities]
        if lacking:
            notes.append(
                f"Of {system.name}, {len(lacking)} of {len(runs)} runs have no record of their "
                "probabilities."
            )
        impossible = max(
            (own["impossible"] for x in runs for own in probabilities.get(x, {}).values()),
            default=0.0,
        )
        if impossible:
            notes.append(
                f"{system.name} cannot give the gold sequences of up to {impossible:.1%} of the "
                "sentences of a language, which its NLL leaves out."
            )
    return notes


def probability_contrasts_table(
    comparison: Comparison, contrasts: ProbabilityContrasts
) -> List[Table]:
    """None where nothing is tested."""
    figures = [x for x in TESTED if x.name in contrasts]
    table = Table(
        "Differences of probabilities",
        ["", "average over", "seeds", *(y for x in figures for y in (x.title, f"p of {x.title}"))],
        notes=[
            "Differences in the tables above, between rows with the same seed; mean over the seeds."
            " Less is better."
            + ("" if comparison.has_contrasts else " Each row is compared with its baseline."),
            "p: of models trained with other seeds on other sentences of the same kind, by the "
            "variance between seeds and that between test sentences "
            f"({RESAMPLES} resamples of each language, the same for all rows; the bins of ECE "
            "stay), Student's t with Satterthwaite's degrees of freedom. It takes two seeds. "
            "Corrected (Holm) for the number of tests in this table. "
            f"{PROBABILITY_CONTRASTS_NAME} has the intervals.",
        ],
    )
    for same in zip(*(contrasts[x.name] for x in figures), strict=True):
        by_figure = [dict(tests_of(one)) for one in same]
        for title in dict.fromkeys(title for tests in by_figure for title in tests):
            tests = [one.get(title) for one in by_figure]
            seeds = {seed: None for test in tests if test for seed in test["by_seed"]}
            cells = [same[0]["name"], title, ", ".join(seeds)]
            for test in tests:
                cells.append(f"{test['difference']:+.2f}" if test else NOTHING)
                cells.append(headline_p_value(test))
            table.rows.append([Cell(cell) for cell in cells])
    return [table] if table.rows else []
