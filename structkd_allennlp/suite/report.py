"""The report of a suite: its tables, tests and plots, as Markdown and as a page."""

import re
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import jinja2

from structkd_allennlp.common.files import write_json, write_text
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrasts import CONTRASTS_NAME, ContrastStatistics, contrasts_of
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.plots import plots
from structkd_allennlp.suite.probabilities import (
    FIGURES_NAME,
    Probabilities,
    probabilities_of,
    selective_curves,
)
from structkd_allennlp.suite.probability_contrasts import (
    PROBABILITY_CONTRASTS_NAME,
    ProbabilityContrasts,
    probability_contrasts_of,
)
from structkd_allennlp.suite.probability_tables import (
    probability_contrasts_table,
    probability_tables,
)
from structkd_allennlp.suite.significance import STATISTICS_NAME, Statistics, statistics_of
from structkd_allennlp.suite.tables import (
    contrast_tables,
    cost_table,
    difference_tables,
    plain_scores_table,
    scores_table,
    summary,
)

PLOTS_FOLDER = "plots"


class Report:
    """
    # Parameters

    comparison : `Comparison`
    statistics : `Statistics`
        Its tests of significance against the baseline; none where there are contrasts.
    contrasts : `Sequence[ContrastStatistics]`, optional
    probabilities : `Probabilities`, optional
    probability_contrasts : `ProbabilityContrasts`, optional
    """

    def __init__(
        self,
        comparison: Comparison,
        statistics: Statistics,
        contrasts: Sequence[ContrastStatistics] = (),
        probabilities: Optional[Probabilities] = None,
        probability_contrasts: Optional[ProbabilityContrasts] = None,
    ) -> None:
        probabilities = probabilities or {}
        curves = selective_curves(comparison, probabilities)
        self._plots = plots(comparison, contrasts, curves)
        if comparison.has_contrasts:
            tables = [*contrast_tables(comparison, contrasts), plain_scores_table(comparison)]
        else:
            tables = [
                scores_table(comparison, statistics),
                *difference_tables(comparison, statistics),
            ]
        self._content: Dict[str, Any] = {
            "suite": comparison.suite,
            "summary": summary(comparison, statistics, contrasts),
            "tables": [
                *tables,
                *probability_tables(comparison, probabilities),
                *probability_contrasts_table(comparison, probability_contrasts or {}),
                cost_table(comparison),
            ],
            "plots": self._plots,
            "plots_folder": PLOTS_FOLDER,
            "unfinished": [run for run in comparison.results["runs"] if run["status"] != "done"],
            "environment": comparison.results["environment"],
        }

    def write_markdown(self, directory: Path) -> None:
        """Writes `report.md` and, in the folder `plots`, the plots that it shows."""
        folder = directory / PLOTS_FOLDER
        folder.mkdir(exist_ok=True)
        images = {folder / f"{plot.name}.svg": plot.image() for plot in self._plots}
        for path, image in images.items():
            write_text(path, image)
        self._write(directory / "report.md")
        # What an earlier report has left.
        for path in set(folder.glob("*.svg")) - set(images):
            path.unlink()

    def write_page(self, directory: Path) -> None:
        """Writes `report.html`, a page that needs no other file."""
        self._write(directory / "report.html")

    def _write(self, path: Path) -> None:
        write_text(path, _TEMPLATES.get_template(f"{path.name}.jinja").render(self._content))


def write_report(directory: Path) -> None:
    """
    Writes `report.md` with its plots, `report.html` and `statistics.json` or, where the suite has
    contrasts, `contrasts.json` from the results of a suite, which may be partial. The last two hold
    what is computed from the counts of single sentences, and `counts.json.gz` holds these: from it
    and the results alone, the same can be written again. Where the runs have records of their
    probabilities, `probabilities.json` has what they come to and `probability_contrasts.json` its
    tests, and both are needed for that too.

    # Parameters

    directory : `Path`
        The suite's, with `results.json` and the directories of its runs.

    # Raises

    `ConfigurationError` if there are no results, or if the counts of a finished run are missing or
    count other sentences than the baseline's, or its probabilities are broken.
    """
    comparison = Comparison.read(directory)
    SentenceCounts(directory).keep_together(run for row in comparison.rows for run in row.runs)
    probabilities = probabilities_of(comparison, directory)
    if probabilities:
        write_json(directory / FIGURES_NAME, probabilities)
    probability_contrasts = probability_contrasts_of(comparison, probabilities, directory)
    if probability_contrasts:
        write_json(directory / PROBABILITY_CONTRASTS_NAME, probability_contrasts)
    if comparison.has_contrasts:
        contrasts = contrasts_of(comparison, directory)
        report = Report(comparison, {}, contrasts, probabilities, probability_contrasts)
        write_json(directory / CONTRASTS_NAME, contrasts)
    else:
        statistics = statistics_of(comparison, directory)
        report = Report(comparison, statistics, (), probabilities, probability_contrasts)
        write_json(directory / STATISTICS_NAME, statistics)
    report.write_markdown(directory)
    report.write_page(directory)


def _markdown(text: Any) -> str:
    """Escapes whatever Markdown, or a cell of its tables, would take for markup."""
    return re.sub(r"([\\`*|]|<(?=\S))", r"\\\1", str(text))


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("structkd_allennlp.suite"),
    autoescape=lambda name: name is not None and ".html" in name,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters["markdown"] = _markdown
