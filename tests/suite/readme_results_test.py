"""scripts/readme_results.py: the README's table, from what is committed of a suite's results."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from structkd_allennlp.suite.report import write_report
from tests.suite.report_test import tables_of
from tests.suite.synthetic import make_results

SCRIPT = Path("scripts/readme_results.py")
README = "# Title\n\n<!-- results:begin -->\nold\n<!-- results:end -->\n\nThe end.\n"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("readme_results", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def suites(tmp_path_factory):
    """A repository with two suites' results, without the directories of their runs."""
    root = tmp_path_factory.mktemp("root")
    rows = ("baseline", "emission", "posterior", "structural", "posterior, weaker teachers")
    for name, more in (
        ("first", {"rows": rows, "groups": ("crf", "softmax")}),
        ("second", {"zero_shot": (), "rows": rows[:2]}),
    ):
        directory = root / "docs/results" / name
        directory.mkdir(parents=True)
        make_results(directory, **more)
        write_report(directory)
        shutil.rmtree(directory / "students")
        shutil.rmtree(directory / "teachers")
    return root


def test_the_table_has_the_numbers_of_the_reports(script, suites):
    text = script.updated(README, suites)
    assert text.startswith("# Title\n\n<!-- results:begin -->\n|  | teachers |")
    assert text.endswith("<!-- results:end -->\n\nThe end.\n")
    assert "old" not in text
    first, second = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| [")
    )
    link, teachers, baseline, posterior, structural, best, gap, zero_shot, zero_shot_best = first
    assert link == "[Synthetic named entities](docs/results/first/report.md)"
    scores = tables_of(suites / "docs/results/first")["Scores"]
    average = {name: line["average"].strip("*") for name, line in scores.items()}
    assert teachers == average["teachers (crf)"]
    assert baseline == average["baseline"]
    assert posterior == average["posterior"]
    assert structural == average["structural"]
    name = max(list(average)[2:], key=lambda name: float(average[name].split()[0]))
    assert best == f"{average[name]} ({name})"
    better = max("posterior", "structural", key=lambda x: float(average[x].split()[0]))
    percent, p = re.fullmatch(r"(.*) \(p (.*)\)", gap).groups()
    assert percent == scores[better]["gap closed"]
    assert p.removeprefix("= ") == scores[better]["p"]
    assert zero_shot == scores["baseline"]["zero-shot average"]
    bold = next(x for x in list(scores)[2:] if scores[x]["zero-shot average"].startswith("**"))
    assert zero_shot_best == f"{scores[bold]['zero-shot average'].strip('*')} ({bold})"
    # No posterior, no structural, no zero-shot languages.
    assert [second[i] for i in (1, 3, 4, 6, 7, 8)] == ["–"] * 6


def test_check(script, suites, monkeypatch, capsys):
    monkeypatch.setattr(script, "ROOT", suites)
    readme = suites / "README.md"
    readme.write_text(README, encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["readme_results.py", *arguments])
        script.main()

    with pytest.raises(SystemExit, match="not up to date"):
        run("--check")
    assert readme.read_text(encoding="utf-8") == README
    run()
    run("--check")
    readme.write_text(readme.read_text(encoding="utf-8").replace("%", "!"), encoding="utf-8")
    with pytest.raises(SystemExit):
        run("--check")


def test_a_readme_without_the_lines(script, suites):
    with pytest.raises(ValueError, match="<!-- results:begin -->"):
        script.updated("# Title\n", suites)


def test_the_readme_is_up_to_date(script):
    text = Path("README.md").read_text(encoding="utf-8")
    assert script.updated(text, Path(".")) == text
