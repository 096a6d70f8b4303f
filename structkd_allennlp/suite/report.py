"""The report of a suite: its tables, tests and plots, as Markdown and as a page."""

import re
from pathlib import Path
from typing import Any, Dict

import jinja2

from structkd_allennlp.common.files import write_json, write_text
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.plots import plots
from structkd_allennlp.suite.significance import STATISTICS_NAME, statistics_of
from structkd_allennlp.suite.tables import cost_table, difference_tables, scores_table, summary


def write_report(directory: Path) -> None:
    """
    Writes `report.md`, `report.html` and `statistics.json` from the results of a suite, which may
    be partial. `statistics.json` has what is computed from the counts of single sentences, for
    whoever has the results without these.

    # Parameters

    directory : `Path`
        Of the suite, with `results.json` and the directories of its runs.

    # Raises

    `ConfigurationError` if there are no results, and if the counts of a finished run are missing or
    are of other sentences than the baseline's.
    """
    comparison = Comparison.read(directory)
    statistics = statistics_of(comparison, directory)
    tables = [
        scores_table(comparison, statistics),
        *difference_tables(comparison, statistics),
        cost_table(comparison),
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("structkd_allennlp.suite"),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["markdown"] = _markdown
    content: Dict[str, Any] = {
        "suite": comparison.suite,
        "summary": summary(comparison, statistics),
        "tables": tables,
        "plots": plots(comparison),
        "unfinished": [run for run in comparison.results["runs"] if run["status"] != "done"],
        "environment": comparison.results["environment"],
    }
    write_json(directory / STATISTICS_NAME, statistics)
    for name in ("report.md", "report.html"):
        write_text(directory / name, environment.get_template(f"{name}.jinja").render(content))


def _markdown(text: Any) -> str:
    """Text that is neither markup nor the end of a table's cell."""
    return re.sub(r"([\\`*|]|<(?=\S))", r"\\\1", str(text))
