"""The report of a suite: its tables, tests and plots, as Markdown and as a page."""

import re
from pathlib import Path
from typing import Any, Dict

import jinja2

from structkd_allennlp.common.files import write_json, write_text
from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrast_tables import contrast_tables
from structkd_allennlp.suite.contrasts import CONTRASTS_NAME, contrasts_of, runs_of
from structkd_allennlp.suite.counts import SentenceCounts
from structkd_allennlp.suite.plots import plots
from structkd_allennlp.suite.probabilities import (
    FIGURES_NAME,
    probabilities_of,
    selective_curves,
)
from structkd_allennlp.suite.probability_contrasts import (
    PROBABILITY_CONTRASTS_NAME,
    probability_contrasts_of,
)
from structkd_allennlp.suite.probability_parts import ProbabilityParts
from structkd_allennlp.suite.probability_tables import (
    probability_contrasts_table,
    probability_tables,
)
from structkd_allennlp.suite.provenance import provenance
from structkd_allennlp.suite.repeated import comparison_without, repeated_in
from structkd_allennlp.suite.resource_tables import cost_table, resources_table
from structkd_allennlp.suite.score_tables import scores_table, without_repeated_table
from structkd_allennlp.suite.summary import summary

PLOTS_FOLDER = "plots"


class Report:
    """
    All that the results of a suite come to, which may be partial.

    # Parameters

    directory : `Path`
        The suite's, with `results.json` and the directories of its runs or, in the place of these,
        `counts.json.gz`, `probabilities.json` and `probability_parts.npz`.

    # Raises

    `ConfigurationError` if there are no results, or if the counts of a finished run are missing or
    count other sentences than those of another, or its probabilities are broken.
    """

    def __init__(self, directory: Path) -> None:
        self.comparison = comparison = Comparison.read(directory)
        self.contrasts = contrasts_of(comparison, directory)
        self.probabilities = probabilities_of(comparison, directory)
        self.probability_parts = ProbabilityParts(directory)
        self.probability_contrasts = probability_contrasts_of(
            comparison, self.probabilities, self.probability_parts, directory
        )
        repeated = repeated_in(comparison)
        without = comparison_without(comparison, repeated, directory)
        curves = selective_curves(comparison, self.probabilities)
        self._plots = plots(comparison, self.contrasts, curves)
        self._content: Dict[str, Any] = {
            "suite": comparison.suite,
            "summary": summary(comparison, self.contrasts, repeated),
            "tables": [
                scores_table(comparison, self.contrasts),
                *contrast_tables(comparison, self.contrasts),
                *without_repeated_table(comparison, without, repeated),
                *probability_tables(comparison, self.probabilities),
                *probability_contrasts_table(comparison, self.probability_contrasts),
                resources_table(comparison),
                cost_table(comparison),
            ],
            "plots": self._plots,
            "plots_folder": PLOTS_FOLDER,
            "unfinished": [run for run in comparison.results["runs"] if run["status"] != "done"],
            "environment": {**comparison.results["environment"], **provenance(comparison)},
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
    Writes `report.md` with its plots, `report.html` and `contrasts.json` from the results of a
    suite, which may be partial. `contrasts.json` holds what is computed from the counts of single
    sentences, and `counts.json.gz` holds these: from it and the results alone, the same can be
    written again. Where the runs have records of their probabilities, `probabilities.json` has what
    they come to, `probability_parts.npz` what single sentences add to it, as far as it is tested,
    and `probability_contrasts.json` these tests; the former two are needed for that too.

    # Parameters

    directory : `Path`
        The suite's, with `results.json` and the directories of its runs.

    # Raises

    As `Report`.
    """
    report = Report(directory)
    comparison = report.comparison
    runs = (run for system in comparison.systems for run in system.runs)
    SentenceCounts(directory).keep_together(runs)
    report.probability_parts.keep_together(runs_of(comparison, comparison.contrasts))
    write_json(directory / CONTRASTS_NAME, report.contrasts)
    if report.probabilities:
        write_json(directory / FIGURES_NAME, report.probabilities)
    if report.probability_contrasts:
        write_json(directory / PROBABILITY_CONTRASTS_NAME, report.probability_contrasts)
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
