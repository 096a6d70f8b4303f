"""scripts/readme_results.py: the README's table, from what is committed of a suite's results."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from structkd_allennlp.common.files import write_json
from structkd_allennlp.suite.report import write_report
from tests.suite.reports import bold_rows, tables_of
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
    """A repository with suites' results, without the directories of their runs."""
    root = tmp_path_factory.mktemp("root")
    rows = ("baseline", "emission", "posterior", "structural", "posterior, weaker teachers")
    for name, more in (
        ("first", {"rows": rows, "groups": ("crf", "softmax")}),
        ("second", {"zero_shot": (), "rows": rows[:2], "seeds": (1,)}),
        ("third", {}),
    ):
        directory = root / "docs/results" / name
        directory.mkdir(parents=True)
        results = make_results(directory, **more)
        for run in results["runs"]:
            run["dev"] += 20 * (run["row"] == "structural")
        write_json(directory / "results.json", results)
        write_report(directory)
        shutil.rmtree(directory / "students")
        shutil.rmtree(directory / "teachers")
    # Of a time when there was none.
    (directory / "counts.json.gz").unlink()
    return root


def test_the_table_has_the_numbers_of_the_reports(script, suites):
    text = script.updated(README, suites)
    assert text.startswith("# Title\n\n<!-- results:begin -->\n|  | baseline |")
    assert text.endswith("<!-- results:end -->\n\nThe end.\n")
    assert "old" not in text
    first, second = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| [")
    )
    link, baseline, best, gain, p, zero_shot, teachers, sentences, parameters, minutes = first
    assert link == "[Synthetic named entities](docs/results/first/report.md)"
    tables = tables_of(suites / "docs/results/first")
    scores = tables["Scores"]
    assert baseline == scores["baseline"]["average"]
    (name,) = bold_rows(suites / "docs/results/first")
    assert name == "structural"
    assert best == f"{scores[name]['average']} ({name})"
    assert gain.startswith(f"{scores[name]['gain']} (")
    assert p == scores[name]["p"]
    # The last line of a row is that of the zero-shot languages.
    line = tables["Differences from the baseline"][name]
    assert zero_shot == f"{line['difference']} ({line['95% interval']})"
    assert teachers.split()[0] == scores["teachers (crf)"]["average"]
    assert sentences == "1,000 and 2,000 + 300"
    # Three teachers: two of the first language.
    assert parameters == "700,000, 12,000,000"
    own = tables["Size and time"][name]["training time"].removesuffix(" min")
    assert minutes.split(", ")[1] == own
    # No best of one seed.
    assert second[1] != "–"
    assert second[2:] == ["–"] * 8


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
    readme.write_text(readme.read_text(encoding="utf-8").replace("700,000", "7"), encoding="utf-8")
    with pytest.raises(SystemExit):
        run("--check")


def test_without_any_counts_the_table_stays_as_it_is(script, tmp_path, capsys):
    directory = tmp_path / "docs/results/old"
    directory.mkdir(parents=True)
    make_results(directory, seeds=(1,))
    assert script.updated(README, tmp_path) == README
    assert "no suite in docs/results has its counts.json.gz" in capsys.readouterr().out


def test_a_readme_without_the_lines(script, suites):
    with pytest.raises(ValueError, match="<!-- results:begin -->"):
        script.updated("# Title\n", suites)


def test_the_readme_is_up_to_date(script):
    text = Path("README.md").read_text(encoding="utf-8")
    assert script.updated(text, Path(".")) == text
