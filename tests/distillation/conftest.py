"""Watching teachers at work."""

import pytest

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.distillation import teacher
from structkd_allennlp.distillation.teacher import ArchiveSource


class NotNeeded(Exception):
    """A teacher was loaded that nobody should need."""


@pytest.fixture
def no_models(monkeypatch):
    """A function that makes it an error to load a teacher from then on."""

    def refuse(archive):
        raise NotNeeded(archive)

    return lambda: monkeypatch.setattr(teacher, "_load", refuse)


@pytest.fixture
def scored(monkeypatch):
    """The batches of sentences that models have scored."""
    batches = []
    original = ArchiveSource.emissions

    def recording(self, sentences, device):
        batches.append(list(sentences))
        return original(self, sentences, device)

    monkeypatch.setattr(ArchiveSource, "emissions", recording)
    return batches


@pytest.fixture
def file(tmp_path):
    """Where a teacher that is a file may lie."""
    return tmp_path / "teacher.jsonl"
