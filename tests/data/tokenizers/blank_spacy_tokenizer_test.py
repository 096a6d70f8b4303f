import logging
import pickle

import hypothesis.strategies as st
import pytest
from allennlp.common import Params
from allennlp.data.tokenizers import Tokenizer
from hypothesis import given, settings

from structkd_allennlp.common import word_splitting
from structkd_allennlp.common.word_splitting import blank_pipeline
from structkd_allennlp.data import BlankSpacyTokenizer, blank_spacy_tokenizer


@pytest.mark.parametrize("language", ["xx", "en", "es", "tr", "ru"])
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_offsets_slice_the_text_and_miss_only_white_space(language, text):
    tokens = blank_spacy_tokenizer(language).tokenize(text)
    assert [text[token.idx : token.idx_end] for token in tokens] == [t.text for t in tokens]
    assert not any(token.text.isspace() for token in tokens)
    covered = {i for token in tokens for i in range(token.idx, token.idx_end)}
    assert all(text[i].isspace() for i in set(range(len(text))) - covered)


def test_splits_as_the_language_does_and_counts_code_points():
    tokens = blank_spacy_tokenizer("en").tokenize("😎  It's\u00a0 5 €.")
    assert [(t.text, t.idx, t.idx_end) for t in tokens] == [
        ("😎", 0, 1),
        ("It", 3, 5),
        ("'s", 5, 7),
        ("5", 9, 10),
        ("€", 11, 12),
        (".", 12, 13),
    ]


# Japanese is known but needs a package of its own; `qq` is no language; spaCy has a module
# `spacy.lang.punctuation`.
@pytest.mark.parametrize("language", ["ja", "th", "vi", "qq", "zh-classical", "punctuation", ""])
def test_missing_languages_fall_back_with_one_warning(language, caplog):
    blank_pipeline.cache_clear()
    with caplog.at_level(logging.WARNING):
        first = BlankSpacyTokenizer(language).tokenize("Hello, world")
        BlankSpacyTokenizer(language).tokenize("again")
    assert [token.text for token in first] == ["Hello", ",", "world"]
    (record,) = caplog.records
    assert repr(language) in record.getMessage()
    assert "install" in record.getMessage()


@pytest.mark.parametrize("language", ["xx", "qq", "ja", "th"])
def test_scripts_without_spaces_are_split_into_characters(language):
    text = "今天很好。OK, ひらコー ที่รัก"
    tokens = BlankSpacyTokenizer(language).tokenize(text)
    # Marks, such as Thai vowels above, stay with their characters.
    expected = ["今", "天", "很", "好", "。", "OK", ",", "ひ", "ら", "コ", "ー", "ที่", "รั", "ก"]
    assert [token.text for token in tokens] == expected
    assert [text[token.idx : token.idx_end] for token in tokens] == expected
    assert [t.text for t in BlankSpacyTokenizer("zh").tokenize("今天OK")] == ["今", "天", "O", "K"]
    # Where a language is named whose rules are there, these decide.
    assert [t.text for t in BlankSpacyTokenizer("en").tokenize("今天 OK")] == ["今天", "OK"]


def test_long_texts_take_no_quadratic_time():
    """Each of these took spaCy hours, or it refused them."""
    assert len(BlankSpacyTokenizer("en").tokenize("(" * 100_000)) == 100_000
    tokens = BlankSpacyTokenizer("en").tokenize("x" * 1_000_001)
    assert "".join(str(token.text) for token in tokens) == "x" * 1_000_001
    assert [(t.idx, t.idx_end) for t in tokens[:2]] == [(0, 250), (250, 500)]


def test_from_params_cache_and_pickle():
    tokenizer = Tokenizer.from_params(Params({"type": "blank_spacy", "language": "es"}))
    assert isinstance(tokenizer, BlankSpacyTokenizer)
    assert tokenizer.language == "es"
    assert BlankSpacyTokenizer.from_params(Params({})).language == "xx"
    assert blank_spacy_tokenizer("es") is blank_spacy_tokenizer("es")
    assert len(pickle.dumps(tokenizer)) < 500


def test_unknown_languages_share_one_pipeline():
    """So that text which names any number of them takes no more memory."""
    assert blank_pipeline("qa") is blank_pipeline("qb") is blank_pipeline("xx")


@pytest.mark.parametrize("language", ["en", "xx"])
def test_words_are_forgotten(language, monkeypatch):
    """However many different ones there are, and nothing but memory depends on it."""
    tokenizer = BlankSpacyTokenizer(language)
    texts = [f"Dr. O'Neill{i}, isn't a-{i}b" for i in range(500)]
    expected = [tokenizer.tokenize(text) for text in texts]
    monkeypatch.setattr(word_splitting, "_MOST_WORDS", 2000)
    for text, tokens in zip(texts, expected, strict=True):
        assert tokenizer.tokenize(text) == tokens
        assert len(blank_pipeline(language).tokenizer.vocab) < 2100
