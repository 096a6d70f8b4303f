"""
Writes docs/results/SUITE/report.md and its plots from what is committed of a suite's results:
results.json with statistics.json or, where a suite has contrasts, counts.json.gz, and
probabilities.json and probability_contrasts.json, if there are any.

    python scripts/results_reports.py
    python scripts/results_reports.py docs/results/ud
"""

import argparse
from pathlib import Path

from structkd_allennlp.suite.comparison import RESULTS_NAME, Comparison
from structkd_allennlp.suite.contrasts import contrasts_of
from structkd_allennlp.suite.probabilities import probabilities_of
from structkd_allennlp.suite.probability_contrasts import probability_contrasts_of
from structkd_allennlp.suite.report import Report
from structkd_allennlp.suite.significance import read_statistics

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
        comparison = Comparison.read(directory)
        probabilities = probabilities_of(comparison, directory)
        tests = probability_contrasts_of(comparison, probabilities, directory)
        if comparison.has_contrasts:
            contrasts = contrasts_of(comparison, directory)
            report = Report(comparison, {}, contrasts, probabilities, tests)
        else:
            report = Report(comparison, read_statistics(directory), (), probabilities, tests)
        report.write_markdown(directory)


if __name__ == "__main__":
    main()
