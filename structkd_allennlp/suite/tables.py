"""The tables of a suite's report."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from structkd_allennlp.suite.comparison import Comparison, Spread, System, best_of, mean_of
from structkd_allennlp.suite.contrasts import ContrastStatistics, ContrastTest
from structkd_allennlp.suite.significance import CONFIDENCE, RESAMPLES, Statistics

NOTHING = "–"


class Cell(NamedTuple):
    text: str
    best: bool = False


@dataclass
class Table:
    title: str
    header: List[str]
    rows: List[List[Cell]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)


def contrast_tables(comparison: Comparison, contrasts: Sequence[ContrastStatistics]) -> List[Table]:
    """The tests of all contrasts, and the differences in each language."""
    tests = Table(
        "Contrasts",
        ["", "average over", "seeds", "difference", f"{CONFIDENCE:.0%} interval", "p", "p alone"],
        notes=[
            f"Difference: of {comparison.metric} in points, averaged over the languages (each "
            "counts the same), between rows with the same seed; mean over the seeds.",
            "Interval and p: of models trained with other seeds on other sentences of the same "
            "kind. The variance is that between seeds and that between test sentences "
            f"({RESAMPLES} resamples of each language, the same for all rows), the test Student's "
            "t with Satterthwaite's degrees of freedom. It takes two seeds.",
            "p is corrected (Holm) for the number of tests in this table, p alone is not.",
        ],
    )
    for contrast in contrasts:
        tests.notes.append(
            f"{contrast['name']}: {_mean(contrast['rows'])} minus {_mean(contrast['against'])}."
        )
        for title, tested in tests_of(contrast):
            low, high = tested["low"], tested["high"]
            cells = [
                contrast["name"],
                title,
                ", ".join(tested["by_seed"]),
                f"{tested['difference']:+.2f}",
                NOTHING if low is None or high is None else f"{low:+.2f} to {high:+.2f}",
                p_value(tested["corrected_p_value"]),
                p_value(tested["p_value"]),
            ]
            tests.rows.append([Cell(cell) for cell in cells])
    by_language = Table(
        "Contrasts by language",
        ["", *(column.title for column in comparison.columns)],
        notes=["The same differences, mean ± standard deviation over the seeds, without tests."],
    )
    for contrast in contrasts:
        spreads = [
            Spread.over(contrast["by_language"][column.title].values())
            for column in comparison.columns
        ]
        if any(spreads):
            by_language.rows.append([Cell(x) for x in (contrast["name"], *map(_signed, spreads))])
    return [table for table in (tests, by_language) if table.rows]


def _mean(names: List[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean of {' and '.join(names)}"


def _signed(spread: Optional[Spread]) -> str:
    if spread is None:
        return NOTHING
    return f"{spread.mean:+.2f}" + (
        "" if spread.deviation is None else f" ± {spread.deviation:.2f}"
    )


def plain_scores_table(comparison: Comparison) -> Table:
    """Of rows that differ in more than one thing, so that there is no best."""
    table = Table(
        "Scores",
        ["", "seeds", *(column.title for column in comparison.columns)],
        notes=[
            f"{comparison.metric} in percent on the test files, mean ± standard deviation over "
            "seeds."
        ],
    )
    for system in comparison.systems:
        spreads = [system.spread(column) for column in comparison.columns]
        texts = [system.name, seeds_of(system), *(str(x or NOTHING) for x in spreads)]
        table.rows.append([Cell(text) for text in texts])
    return table


def scores_table(comparison: Comparison, statistics: Statistics) -> Table:
    table = Table(
        "Scores",
        ["", *(column.title for column in comparison.columns), "gap closed", "p"],
        notes=[
            f"{comparison.metric} in percent on the test files, mean ± standard deviation over "
            "seeds. The best student of each column is in bold.",
            "Gap closed: (row - baseline) / (teachers - baseline), of the averages; the teachers "
            "are those that the row learns from.",
            "p: of the difference from the baseline over all languages, by a paired bootstrap over "
            "sentences (see Differences). It is not corrected for the number of rows.",
        ],
    )
    if comparison.teachers:
        zero_shot = " The score of a zero-shot language is the mean over all teachers."
        table.notes.append(
            "Teachers: each language is scored by its own teacher. Where it has several, an "
            "ensemble or cross-fitted ones, the score is their mean."
            + zero_shot
            * bool(comparison.suite["zero_shot"])
        )
    best = {
        column.title: max(
            (f"{spread.mean:.2f}" for x in comparison.rows if (spread := x.spread(column))),
            key=float,
            default=None,
        )
        for column in comparison.columns
    }
    for system in comparison.systems:
        cells = [Cell(system.name)]
        for column in comparison.columns:
            spread = system.spread(column)
            is_best = spread is not None and f"{spread.mean:.2f}" == best[column.title]
            cells.append(Cell(str(spread or NOTHING), is_best and system in comparison.rows))
        tested = statistics.get(system.name)
        gap = tested["gap_closed"] if tested else None
        difference = tested["languages"] if tested else None
        cells.append(Cell(NOTHING if gap is None else percent(gap)))
        cells.append(Cell(p_value(difference["p_value"] if difference else None)))
        table.rows.append(cells)
    return table


def difference_tables(comparison: Comparison, statistics: Statistics) -> List[Table]:
    tables = []
    all_languages = {row: tested["languages"] for row, tested in statistics.items()}
    zero_shot = {row: tested["zero_shot"] for row, tested in statistics.items()}
    for title, differences in (
        ("all languages", all_languages),
        ("zero-shot languages", zero_shot),
    ):
        table = Table(
            f"Differences from the baseline, {title}",
            ["", "seeds", "difference", f"{CONFIDENCE:.0%} interval", "p", "p by seed", "t-test p"],
        )
        for row, tested in differences.items():
            if tested is None:
                continue
            by_seed = tested["p_value_by_seed"]
            cells = [
                row,
                ", ".join(by_seed),
                f"{tested['difference']:+.2f}",
                f"{tested['low']:+.2f} to {tested['high']:+.2f}",
                p_value(tested["p_value"]),
                ", ".join(map(p_value, by_seed.values())),
                p_value(tested["t_test_p_value"]),
            ]
            table.rows.append([Cell(cell) for cell in cells])
        if table.rows:
            tables.append(table)
    if tables:
        tables[0].notes += [
            f"Difference: {comparison.metric} over all test sentences of these languages together, "
            "minus that of the baseline with the same seed; mean over the seeds that both have. "
            "Large test files weigh more here than in the average of the scores.",
            f"Interval and p: paired bootstrap with {RESAMPLES} resamples of the sentences, the "
            "same for all seeds. It tests whether these models would also differ on other "
            "sentences. p by seed: each seed on its own.",
            "t-test p: paired t-test over seeds, of the averages over languages. It tests whether "
            "models trained with other seeds would also differ on these sentences. With two or "
            "three seeds it finds only large differences.",
        ]
    return tables


def cost_table(comparison: Comparison) -> Table:
    table = Table(
        "Size, time and development score",
        ["", "runs", "seeds", "parameters", "archive, MB", "training time", "development score"],
        notes=["Means over runs. The time of a student does not include that of its teachers."],
    )
    for group in comparison.teachers.values():
        if group.runs:
            table.notes.append(
                f"{group.name} together: {len(group.runs)} models, "
                f"{sum(run['parameters'] for run in group.runs):,} parameters, "
                f"{sum(run['archive_bytes'] for run in group.runs) / 1e6:.1f} MB, "
                f"{duration(sum(run['seconds'] for run in group.runs))}."
            )
    for system in comparison.systems:
        runs = system.runs
        parameters = mean_of(run["parameters"] for run in runs)
        size = mean_of(run["archive_bytes"] / 1e6 for run in runs)
        seconds = mean_of(run["seconds"] for run in runs)
        development = mean_of(run["dev"] for run in runs if run["dev"] is not None)
        cells = [
            system.name,
            f"{len(runs)} of {len(system.planned)}",
            seeds_of(system),
            NOTHING if parameters is None else f"{parameters:,.0f}",
            NOTHING if size is None else f"{size:.1f}",
            NOTHING if seconds is None else duration(seconds),
            NOTHING if development is None else f"{development:.2f}",
        ]
        table.rows.append([Cell(cell) for cell in cells])
    recovered = [run["directory"] for run in comparison.results["runs"] if run.get("recovered")]
    if recovered:
        table.notes.append(f"Interrupted, and recovered from a checkpoint: {', '.join(recovered)}.")
    return table


def seeds_of(system: System) -> str:
    """Those of its finished runs."""
    seeds = sorted(run["seed"] for run in system.runs if run["seed"] is not None)
    return ", ".join(map(str, seeds)) or NOTHING


def summary(
    comparison: Comparison,
    statistics: Statistics,
    contrasts: Sequence[ContrastStatistics] = (),
) -> List[str]:
    runs = comparison.results["runs"]
    sentences = []
    counts = {x: sum(run["status"] == x for run in runs) for x in ("done", "failed", "waiting")}
    if counts["done"] < len(runs):
        sentences.append(
            f"This report is partial: of {len(runs)} runs {counts['done']} done, "
            f"{counts['failed']} failed, {counts['waiting']} waiting."
        )
    sentences += _findings(contrasts)
    best = best_of(comparison.rows, comparison.average)
    if best is not None and not comparison.has_contrasts:
        sentence = (
            f"The best student is {best.name}, with {best.spread(comparison.average)} on average"
        )
        tested = statistics.get(best.name)
        gain = mean_of(comparison.gains(best, comparison.average).values())
        if tested and tested["languages"] and gain is not None:
            sentence += f": {gain:+.2f} compared with {comparison.baseline.name}"
            sentence += f" (p = {p_value(tested['languages']['p_value'])})".replace("= <", "<")
            if tested["gap_closed"] is not None:
                sentence += f", {percent(tested['gap_closed'])} of the gap to its teachers"
        sentences.append(f"{sentence}.")
    return sentences + repeated_sentences(runs)


def _findings(contrasts: Sequence[ContrastStatistics]) -> List[str]:
    """Which contrasts are told from 0."""
    tested = {
        f"{contrast['name']}, {title}": test
        for contrast in contrasts
        for title, test in tests_of(contrast)
        if test["corrected_p_value"] is not None
    }
    if not tested:
        return ["No contrast has two seeds yet, so none is tested."] if contrasts else []
    found = [
        f"{name} ({test['difference']:+.2f})"
        for name, test in tested.items()
        if test["corrected_p_value"] is not None and test["corrected_p_value"] < 1 - CONFIDENCE
    ]
    return [
        f"Of {len(tested)} tested contrasts, {len(found) or 'none'} differ from 0 with a corrected "
        f"p below {1 - CONFIDENCE:.2g}" + (f": {'; '.join(found)}." if found else ".")
    ]


def tests_of(contrast: ContrastStatistics) -> List[Tuple[str, ContrastTest]]:
    """By what they are averages over."""
    both = (
        ("trained languages", contrast["languages"]),
        ("zero-shot languages", contrast["zero_shot"]),
    )
    return [(title, test) for title, test in both if test is not None]


def repeated_sentences(runs: Sequence[Mapping[str, Any]]) -> List[str]:
    """A sentence for each test set, as far as it is also in what some models were trained on."""
    names: Dict[Tuple[Tuple[str, int, int], ...], Dict[str, None]] = {}
    for run in runs:
        found = tuple((x, *counts) for x, counts in run.get("repeated", {}).items() if counts[0])
        if found:
            names.setdefault(found, {})[run["row"] or f"teachers {run['group']}"] = None
    return [
        f"Of the test sentences, {', '.join(f'{n:,} of {of:,} in {x}' for x, n, of in found)} are "
        f"also in the training data ({', '.join(own)}), so scores on them partly measure memory."
        for found, own in names.items()
    ]


def percent(share: float) -> str:
    return f"{share:.0%}"


def p_value(value: Optional[float]) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
