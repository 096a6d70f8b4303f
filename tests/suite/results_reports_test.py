"""scripts/results_reports.py: the committed reports are those of the committed results."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

RESULTS = Path("docs/results")
ALL, SUITES = (
    sorted(path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.glob(f"**/{name}"))
    for name in ("results.json", "counts.json.gz")
)


@pytest.fixture
def made(name, tmp_path, monkeypatch):
    """Where the script has found this suite alone."""
    directory = tmp_path / "docs/results" / name
    directory.mkdir(parents=True)
    for pattern in ("*.json*", "*.npz"):
        for file in (RESULTS / name).glob(pattern):
            shutil.copy(file, directory)
    spec = importlib.util.spec_from_file_location("script", "scripts/results_reports.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["results_reports.py"])
    script.main()
    return tmp_path / "docs/results"


@pytest.mark.parametrize("name", SUITES)
def test_they_are_up_to_date(made, name):
    """Else run `python scripts/results_reports.py`."""
    text = (made / name / "report.md").read_text(encoding="utf-8")
    assert text == (RESULTS / name / "report.md").read_text(encoding="utf-8")
    committed, new = ({x.name for x in (d / name).glob("plots/*")} for d in (RESULTS, made))
    assert committed == new
    assert all(f"(plots/{plot})" in text for plot in new)


@pytest.mark.parametrize("name", sorted({*ALL} - {*SUITES}))
def test_what_has_no_counts_is_left_alone(made, name):
    assert not (made / name / "report.md").exists()


def test_they_are_small():
    assert sum(path.stat().st_size for path in RESULTS.glob("**/plots/*")) < 4e6
