"""
Writes the table of results into README.md, between its lines `<!-- results:begin -->` and
`<!-- results:end -->`, from the results of suites in docs/results/SUITE.

    python scripts/readme_results.py
    python scripts/readme_results.py --check    # exits with 1 if README.md is not up to date
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from structkd_allennlp.suite.comparison import (
    RESULTS_NAME,
    Column,
    Comparison,
    Spread,
    System,
    best_of,
)
from structkd_allennlp.suite.significance import read_statistics
from structkd_allennlp.suite.tables import NOTHING, p_value, percent

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->\n"
HEADER = [
    "",
    "teachers",
    "baseline",
    "posterior",
    "structural",
    "best",
    "gap closed",
    "zero-shot baseline",
    "zero-shot best",
]
NOTE = (
    "F1 or accuracy in percent, on average over the languages; mean ± standard deviation over "
    "seeds. Gap closed: by the better of posterior and structural, of the gap between the baseline "
    "and its teachers; p by a paired bootstrap over test sentences.\n"
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
    directories = sorted(path.parent for path in root.glob(f"docs/results/*/{RESULTS_NAME}"))
    return f"{parts[0]}{BEGIN}{section(directories, root)}{END}{after}"


def section(directories: List[Path], root: Path) -> str:
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
    # A suite with contrasts asks something else than which student is best.
    lines += [line(x, root) for x in directories if not Comparison.read(x).has_contrasts]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + f"\n{NOTE}"


def line(directory: Path, root: Path) -> List[str]:
    comparison, statistics = Comparison.read(directory), read_statistics(directory)
    average, zero_shot = comparison.average, comparison.zero_shot_average
    posterior, structural = (_by_objective(comparison, x) for x in ("posterior", "structural"))
    better = best_of([row for row in (posterior, structural) if row], average)
    # Without the better one there is no telling which teachers are meant.
    teachers = comparison.teachers_of(better) if better else None
    best = best_of(comparison.rows, average)
    best_zero_shot = best_of(comparison.rows, zero_shot) if zero_shot.languages else None
    tested = statistics.get(better.name) if better else None
    gap = NOTHING
    if tested and tested["gap_closed"] is not None and tested["languages"]:
        p = f"p = {p_value(tested['languages']['p_value'])}".replace("= <", "<")
        gap = f"{percent(tested['gap_closed'])} ({p})"
    report = (directory / "report.md").relative_to(root).as_posix()
    return [
        f"[{comparison.suite['title']}]({report})",
        _score(teachers, average),
        _score(comparison.baseline, average),
        _score(posterior, average),
        _score(structural, average),
        _named(best, average),
        gap,
        _score(comparison.baseline, zero_shot) if zero_shot.languages else NOTHING,
        _named(best_zero_shot, zero_shot),
    ]


def _by_objective(comparison: Comparison, name: str) -> Optional[System]:
    """The first row with this objective; later ones are variants of it."""
    for row in comparison.rows:
        if any((run["objective"] or {}).get("type") == name for run in row.planned):
            return row
    return None


def _score(system: Optional[System], column: Column) -> str:
    spread: Optional[Spread] = system.spread(column) if system else None
    return str(spread or NOTHING)


def _named(system: Optional[System], column: Column) -> str:
    return f"{_score(system, column)} ({system.name})" if system else NOTHING


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
