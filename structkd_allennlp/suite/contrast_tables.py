"""The tables of what a suite is there to measure."""

from typing import List, Optional, Sequence, Tuple

from structkd_allennlp.suite.comparison import Comparison, Spread
from structkd_allennlp.suite.contrasts import ContrastStatistics, ContrastTest
from structkd_allennlp.suite.significance import CONFIDENCE, RESAMPLES
from structkd_allennlp.suite.tables import NOTHING, ONE_SEED, Cell, Table, p_value


def contrast_tables(comparison: Comparison, contrasts: Sequence[ContrastStatistics]) -> List[Table]:
    """The headline tests, the differences in each language, and the tests in detail."""
    what = "Contrasts" if comparison.has_contrasts else "Differences from the baseline"
    tests = Table(
        what,
        ["", "average over", "seeds", "difference", f"{CONFIDENCE:.0%} interval", "p"],
        notes=[
            f"Difference: of {comparison.metric} in points, averaged over the languages (each "
            "counts the same), between rows with the same seed; mean over the seeds.",
            "Interval and p: of models trained with other seeds on other sentences of the same "
            "kind. The variance is that between seeds and that between test sentences "
            f"({RESAMPLES} resamples of each language, the same for all rows), the test Student's "
            "t with Satterthwaite's degrees of freedom. It takes two seeds.",
            "p is corrected (Holm) for the number of tests in this table.",
            *_shared_teachers(comparison),
        ],
    )
    details = Table(
        f"{what}: the tests in detail",
        ["", "average over", "seeds", "p, not corrected", "p of seeds", "p of sentences"],
        notes=[
            "Not corrected: the test above by itself. The other two are parts of it, on the same "
            "seeds and resamples, and neither is corrected.",
            "p of seeds: paired t-test over the seeds. Would models trained with other seeds also "
            "differ on these very sentences?",
            "p of sentences: paired bootstrap over the test sentences. Would these very models "
            "also differ on other sentences?",
        ],
    )
    for contrast in contrasts:
        if comparison.has_contrasts:
            tests.notes.append(
                f"{contrast['name']}: {_mean(contrast['rows'])} minus {_mean(contrast['against'])}."
            )
        for title, tested in tests_of(contrast):
            low, high = tested["low"], tested["high"]
            start = [contrast["name"], title, ", ".join(tested["by_seed"])]
            cells = [
                *start,
                f"{tested['difference']:+.2f}",
                NOTHING if low is None or high is None else f"{low:+.2f} to {high:+.2f}",
                headline_p_value(tested),
            ]
            tests.rows.append([Cell(cell) for cell in cells])
            parts = [tested[x] for x in ("p_value", "p_value_of_seeds", "p_value_of_sentences")]
            details.rows.append([Cell(cell) for cell in (*start, *map(p_value, parts))])
    by_language = Table(
        f"{what} by language",
        ["", *(column.title for column in comparison.columns)],
        notes=["The same differences, mean ± standard deviation over the seeds, without tests."],
    )
    for contrast in contrasts:
        spreads = [
            Spread.over(contrast["by_language"][column.title].values())
            for column in comparison.columns
        ]
        if any(spreads):
            by_language.rows.append([Cell(x) for x in (contrast["name"], *map(signed, spreads))])
    return [table for table in (tests, by_language, details) if table.rows]


def findings(contrasts: Sequence[ContrastStatistics]) -> List[str]:
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


def headline_p_value(test: Optional[ContrastTest]) -> str:
    if test is not None and len(test["by_seed"]) == 1:
        return ONE_SEED
    return p_value(test["corrected_p_value"] if test else None)


def signed(spread: Optional[Spread]) -> str:
    if spread is None:
        return NOTHING
    return f"{spread.mean:+.2f}" + (
        "" if spread.deviation is None else f" ± {spread.deviation:.2f}"
    )


def _shared_teachers(comparison: Comparison) -> List[str]:
    """A note on rows whose students have not all got teachers of their own."""
    shared = []
    for row in comparison.rows:
        own = [tuple(x["directory"] for x in comparison.teacher_runs(run)) for run in row.runs]
        if any(own) and len({*own}) < len(own):
            shared.append(f"{row.name} ({len({*own})} for {len(own)} students)")
    if not shared:
        return []
    return [
        "Students of these rows share teachers, so that the luck of a teacher is in the interval "
        f"less than that of a student, or not at all where there is one set: {', '.join(shared)}."
    ]


def _mean(names: List[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean of {' and '.join(names)}"
