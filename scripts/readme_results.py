"""
Writes the table of results into README.md, between its lines `<!-- results:begin -->` and
`<!-- results:end -->`, from the results of suites in docs/results/SUITE.

    python scripts/readme_results.py
    python scripts/readme_results.py --check    # exits with 1 if README.md is not up to date
"""

import argparse
import sys
from pathlib import Path
from typing import List, Literal, Optional

from structkd_allennlp.suite.comparison import RESULTS_NAME, Comparison, Run, System, mean_of
from structkd_allennlp.suite.contrast_tables import headline_p_value
from structkd_allennlp.suite.contrasts import ContrastTest, against_baseline, contrasts_of
from structkd_allennlp.suite.counts import ALL_COUNTS_NAME
from structkd_allennlp.suite.significance import CONFIDENCE
from structkd_allennlp.suite.tables import NOTHING

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->\n"
HEADER = [
    "",
    "baseline",
    "best student",
    f"gain ({CONFIDENCE:.0%})",
    "p",
    "zero-shot gain",
    "teachers",
    "sentences: labelled + unlabelled",
    "parameters: student, teachers",
    "minutes: baseline, best, its teachers",
]
NOTE = (
    "F1 or accuracy in percent on the test files, on average over the languages, mean ± standard "
    "deviation over seeds. The best student is chosen on development data. Gains, over the "
    f"baseline with the same seeds, with {CONFIDENCE:.0%} intervals over seeds and sentences; p "
    "corrected for all rows of the report. Labelled sentences are those of the student and those "
    "of its teachers; parameters and minutes are those of one run, and of all teachers of it.\n"
)


def updated(readme: str, root: Path) -> str:
    """
    # Raises

    `ValueError` if the two lines are not there, once each and in this order.
    """
    parts = readme.split(BEGIN)
    if len(parts) != 2 or parts[1].count(END) != 1:
        raise ValueError(f"README.md needs the lines {BEGIN.strip()} and, after it, {END.strip()}")
    after = parts[1].split(END)[1]
    directories = sorted(
        path.parent
        for path in root.glob(f"docs/results/*/{RESULTS_NAME}")
        if (path.parent / ALL_COUNTS_NAME).exists()
    )
    if not directories:
        print(f"no suite in docs/results has its {ALL_COUNTS_NAME}, so the table stays as it is")
        return readme
    return f"{parts[0]}{BEGIN}{section(directories, root)}{END}{after}"


def section(directories: List[Path], root: Path) -> str:
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
    lines += [line(x, root) for x in directories]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + f"\n{NOTE}"


def line(directory: Path, root: Path) -> List[str]:
    comparison = Comparison.read(directory)
    average, baseline, best = comparison.average, comparison.baseline, comparison.best()
    report = (directory / "report.md").relative_to(root).as_posix()
    cells = [
        f"[{comparison.suite['title']}]({report})",
        str(baseline.spread(average) or NOTHING),
    ]
    if best is None:
        return cells + [NOTHING] * (len(HEADER) - len(cells))
    tests = against_baseline(comparison, contrasts_of(comparison, directory)).get(best.name)
    tested, zero_shot = (tests["languages"], tests["zero_shot"]) if tests else (None, None)
    students = [[run] for run in best.runs]
    taught = [comparison.teacher_runs(run) for run in best.runs]
    baselines = [[run] for run in baseline.runs]
    return [
        *cells,
        f"{best.spread(average)} ({best.name})",
        _gain(tested),
        headline_p_value(tested),
        _gain(zero_shot),
        str(comparison.teachers_of(best).spread(average) or NOTHING),
        _sentences(best),
        ", ".join(f"{_total(runs, 'parameters'):,.0f}" for runs in (students, taught)),
        ", ".join(f"{_total(x, 'seconds') / 60:.1f}" for x in (baselines, students, taught)),
    ]


def _gain(test: Optional[ContrastTest]) -> str:
    if test is None:
        return NOTHING
    low, high = test["low"], test["high"]
    interval = "" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})"
    return f"{test['difference']:+.2f}{interval}"


def _sentences(system: System) -> str:
    data = [own for run in system.runs if (own := run.get("data"))]
    if not data:
        return NOTHING
    students = mean_of(x["labelled_sentences"] for x in data)
    teachers = mean_of(x["teachers_labelled_sentences"] or 0 for x in data)
    labelled = f"{students:,.0f}" + (f" and {teachers:,.0f}" if teachers else "")
    return f"{labelled} + {mean_of(x['unlabelled_sentences'] for x in data):,.0f}"


def _total(runs: List[List[Run]], key: Literal["parameters", "seconds"]) -> float:
    """The sum over models that are one together, on average."""
    return mean_of(sum(run[key] for run in own) for own in runs) or 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    args = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    new = updated(readme, ROOT)
    if not args.check:
        path.write_text(new, encoding="utf-8")
    elif new != readme:
        sys.exit("README.md is not up to date: run `python scripts/readme_results.py`")


if __name__ == "__main__":
    main()
