"""Raw text in languages whose rules an exported tagger has, and in others."""

import logging

import pytest

from structkd_allennlp.common.word_splitting import split_by_spacy
from structkd_allennlp.serving import words
from structkd_allennlp.serving.words import WordSplitter

TEXT = "Mr. O'Neill doesn't pay 3.50€/kg, e.g. 日本語 " + "z" * 600
PLAIN = {"language": None, "rules": {"": "xx"}}


@pytest.mark.parametrize("language", [None, "en", "xx", "de", "qa"])
def test_as_spacy_splits(exported, language):
    assert WordSplitter(exported, PLAIN)(TEXT, language) == split_by_spacy(TEXT, language or "xx")


def test_without_spacy(exported, monkeypatch, caplog):
    """Its own rules, and for all others those of no language in particular, with a warning."""
    monkeypatch.setattr(words, "find_spec", lambda name: None)
    monkeypatch.setattr(words, "split_by_spacy", None)
    splitter = WordSplitter(exported, PLAIN)
    assert splitter(TEXT, "en") == split_by_spacy(TEXT, "en") != splitter(TEXT, None)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert splitter(TEXT, "de") == splitter(TEXT, None)
        (record,) = caplog.records
        assert "'de'" in record.message
        for i in range(1000):
            splitter("a", f"q{i}")
    assert len(caplog.records) == 100
