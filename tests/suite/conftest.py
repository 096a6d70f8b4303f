import pytest

from structkd_allennlp.suite import report


@pytest.fixture
def without_plots(monkeypatch):
    """They take longer than all else."""
    monkeypatch.setattr(report, "plots", lambda *arguments: [])
