"""
Writes docs/results/SUITE/report.md and its plots from what is committed of a suite's results:
results.json and counts.json.gz, from which all tests are computed again, and probabilities.json and
probability_parts.npz, for those of probabilities. Of suites that were run before there were such
parts, probability_contrasts.json has these tests.

    python scripts/results_reports.py
    python scripts/results_reports.py docs/results/ud
"""

import argparse
from pathlib import Path

from structkd_allennlp.suite.comparison import RESULTS_NAME
from structkd_allennlp.suite.counts import ALL_COUNTS_NAME
from structkd_allennlp.suite.report import Report

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "directories", nargs="*", type=Path, help="default: all in docs/results with results.json"
    )
    found = sorted(path.parent for path in ROOT.glob(f"docs/results/**/{RESULTS_NAME}"))
    for directory in parser.parse_args().directories or found:
        if not (directory / ALL_COUNTS_NAME).exists():
            print(f"{directory} has no {ALL_COUNTS_NAME}, so its report stays as it is")
            continue
        Report(directory).write_markdown(directory)


if __name__ == "__main__":
    main()
