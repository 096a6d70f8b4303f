"""The tables of scores: on all test sentences, and without those that models may remember."""

from typing import List, Sequence

from structkd_allennlp.suite.comparison import Comparison, Spread
from structkd_allennlp.suite.contrast_tables import headline_p_value
from structkd_allennlp.suite.contrasts import ContrastStatistics, against_baseline
from structkd_allennlp.suite.repeated import Repeated
from structkd_allennlp.suite.tables import NOTHING, ONE_SEED, Cell, Table, percent, seeds_of


def scores_table(comparison: Comparison, contrasts: Sequence[ContrastStatistics]) -> Table:
    """The averages first, then each language."""
    average, zero_shot = comparison.average, comparison.zero_shot_average
    compared = against_baseline(comparison, contrasts)
    others = comparison.suite.get("baselines", {})
    averages = [average, *([zero_shot] if zero_shot.languages else [])]
    languages = [column for column in comparison.columns if column not in averages]
    table = Table(
        "Scores",
        [
            "",
            average.title,
            *(["gain", "p", "gap closed"] if compared else []),
            *(["baseline"] if others else []),
            *(column.title for column in averages[1:]),
            "development",
            "seeds",
            *(column.title for column in languages),
        ],
        notes=[
            f"{comparison.metric} in percent on the test files, mean ± standard deviation over "
            "seeds. All averages are macro averages: each language counts the same.",
            "Development: the mean over the seeds of the best score on development data"
            + (", a micro average: all sentences together" if _is_micro(comparison) else "")
            + ".",
        ],
    )
    best = comparison.best()
    if compared:
        table.notes += [
            f"Gain, p: the difference from {'its baseline' if others else comparison.baseline.name}"
            " with the same seeds, and the headline test of it (see below).",
            "Gap closed: (row - baseline) / (teachers - baseline), of the averages, seed by seed "
            "with the teachers that it learns from; where these are better with each seed.",
            "The best student, in bold, is chosen by its development score, from "
            f"{comparison.baseline.name} and the rows compared with it. It has two seeds or more.",
            f'"{ONE_SEED}": there is no telling what other seeds would give.',
        ]
    if comparison.teachers:
        table.notes.append(
            "Teachers: the score of a language is that of its teacher; where it has several, an "
            "ensemble or cross-fitted ones, the mean of their scores, not the score of their votes."
            + " The score of a zero-shot language is the mean over all teachers."
            * bool(zero_shot.languages)
        )
    for system in comparison.systems:
        cells = [str(system.spread(average) or NOTHING)]
        if compared:
            contrast = compared.get(system.name)
            tested = contrast["languages"] if contrast else None
            gap = comparison.gap_closed(system) if contrast else None
            cells.append(f"{tested['difference']:+.2f}" if tested else NOTHING)
            cells.append(headline_p_value(tested))
            cells.append(NOTHING if gap is None else percent(gap))
        if others:
            cells.append(
                compared[system.name]["against"][0] if system.name in compared else NOTHING
            )
        cells += [str(system.spread(column) or NOTHING) for column in averages[1:]]
        development = system.development
        cells.append(NOTHING if development is None else f"{development:.2f}")
        cells.append(seeds_of(system))
        cells += [str(system.spread(column) or NOTHING) for column in languages]
        bold = best is not None and system.name == best.name
        table.rows.append([Cell(cell, bold) for cell in (system.name, *cells)])
    return table


def without_repeated_table(
    comparison: Comparison, without: Comparison, repeated: Repeated
) -> List[Table]:
    """The scores on the other test sentences; none where there are no repeated ones."""
    if not repeated.any:
        return []
    average, zero_shot, compared = without.average, without.zero_shot_average, without.compared
    averages = [average, *([zero_shot] if zero_shot.languages else [])]
    table = Table("Scores without repeated test sentences", [""])
    for column in averages:
        table.header += [column.title, "change", "gain"]
    languages = [column for column in without.columns if column not in averages]
    table.header += [column.title for column in languages]
    for system, all_sentences in zip(without.systems, comparison.systems, strict=True):
        cells = [system.name]
        for column in averages:
            spread, before = system.spread(column), all_sentences.spread(column)
            gains = Spread.over(without.gains(system, column).values())
            cells.append(str(spread or NOTHING))
            cells.append(f"{spread.mean - before.mean:+.2f}" if spread and before else NOTHING)
            cells.append(f"{gains.mean:+.2f}" if gains and system.name in compared else NOTHING)
        cells += [str(system.spread(column) or NOTHING) for column in languages]
        table.rows.append([Cell(cell) for cell in cells])
    table.notes = [
        f"Left out of the test files: {_counted(repeated, comparison)}.",
        "Change: from the score on all test sentences. Gain: over its baseline with the same "
        "seeds. All tests are on all sentences.",
    ]
    if repeated.unknown:
        table.notes.append(
            f"Of {repeated.unknown} runs it is not recorded which sentences they share with the "
            "test files."
        )
    return [table]


def _counted(repeated: Repeated, comparison: Comparison) -> str:
    parts = []
    for language in comparison.suite["languages"] + comparison.suite["zero_shot"]:
        kinds = [
            f"{len(own[language])} in {kind}"
            for kind, own in (
                ("labelled training data", repeated.labelled),
                ("unlabelled", repeated.unlabelled),
            )
            if own.get(language)
        ]
        if kinds:
            left_out, of = len(repeated.of(language)), repeated.sentences[language]
            parts.append(f"{left_out:,} of {of:,} in {language} ({', '.join(kinds)})")
    return "; ".join(parts) + ", of any teacher or student"


def _is_micro(comparison: Comparison) -> bool:
    return any(run.get("dev_average") == "micro" for run in comparison.results["runs"])
