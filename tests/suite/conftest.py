import pytest

from structkd_allennlp.suite import report
from structkd_allennlp.suite.report import write_report
from tests.suite.reports import ROWS
from tests.suite.synthetic import make_results


@pytest.fixture
def without_plots(monkeypatch):
    """They take longer than all else."""
    monkeypatch.setattr(report, "plots", lambda *arguments: [])


@pytest.fixture(scope="session")
def complete(tmp_path_factory):
    directory = tmp_path_factory.mktemp("complete")
    make_results(directory, rows=ROWS, seeds=(1, 2, 3))
    write_report(directory)
    return directory


@pytest.fixture(scope="session")
def partial(tmp_path_factory):
    directory = tmp_path_factory.mktemp("partial")
    without = ["teachers/crf/de/1", "students/posterior/seed2", "students/baseline/seed2"]
    without += ["students/emission/seed1", "students/emission/seed2"]
    make_results(directory, metric="accuracy", without=without)
    write_report(directory)
    return directory
