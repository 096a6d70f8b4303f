"""Sentences that are sampled from an n-gram model of a corpus."""

import logging
import random
from collections import Counter
from itertools import pairwise, product

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp import NGramTextReader, UnlabelledTextReader
from structkd_allennlp.data.dataset_readers.ngram_text import NGramModel
from tests.data import FIXTURES, complaint

TRAIN = f"{FIXTURES}/conll/{{language}}/train.txt"
FILES = {
    "semeval_aspect": "aspect/en/train.xml",
    "structkd_conll": "conll/en/train.txt",
    "universal_dependencies_pos": "ud/en/train.conllu",
    "wikiann": "wikiann/en/train",
}


def make(**params):
    reader = DatasetReader.from_params(Params({"type": "ngram_text", **params}))
    assert isinstance(reader, NGramTextReader)
    return reader


def words_of(sentences):
    return [tuple(sentence.words) for sentence in sentences]


def probability(words, corpus):
    """By the formula, from counts."""
    bigrams, trigrams = Counter(), Counter()
    for sentence in corpus:
        padded = ["<s>", "<s>", *sentence, "</s>"]
        for i in range(2, len(padded)):
            bigrams[padded[i - 1], padded[i]] += 1
            trigrams[tuple(padded[i - 2 : i + 1])] += 1
    result = 1.0
    padded = ["<s>", "<s>", *words, "</s>"]
    for u, v, w in zip(padded, padded[1:], padded[2:], strict=False):
        after_two = sum(n for key, n in trigrams.items() if key[:2] == (u, v))
        after_one = sum(n for key, n in bigrams.items() if key[0] == v)
        result *= (trigrams[u, v, w] / after_two + bigrams[v, w] / after_one) / 2
        if not result:
            return 0.0
    return result


def test_samples_are_as_frequent_as_the_model_says():
    corpus = [["a", "b", "c"], ["b", "a"], ["a", "b", "a"], ["c"]]
    model, rng, number = NGramModel(corpus), random.Random(0), 40_000
    found = Counter(tuple(model.sample(rng)) for _ in range(number))
    seen = 0.0
    for length in range(1, 6):
        for words in product("abc", repeat=length):
            expected = probability(words, corpus)
            seen += expected
            # Four standard deviations, and one sample where hardly any is expected.
            margin = 4 * (expected * (1 - expected) / number) ** 0.5 + 1 / number
            assert abs(found[words] / number - expected) <= margin, words
    assert seen > 0.9


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=1, max_size=6))
def test_all_bigrams_are_those_of_the_corpus(corpus):
    known = {pair for x in corpus for pair in pairwise([None, *x, None])}
    model, rng = NGramModel(corpus), random.Random(1)
    for _ in range(20):
        words = model.sample(rng)
        assert words
        assert set(pairwise([None, *words, None])) <= known


@pytest.mark.parametrize("kind", sorted(FILES))
def test_new_sentences_of_each_kind_of_corpus(kind):
    """As many as there are, without tags, always the same."""
    path = FIXTURES / FILES[kind]
    own = DatasetReader.by_name(kind)()
    corpus = list(own.sentences(path, "en"))
    found = list(make(reader=kind).sentences(path, "en"))
    assert len(found) == len(corpus)
    assert len(set(words_of(found))) == len(found)
    assert not set(words_of(found)) & set(words_of(corpus))
    assert {sentence.tags for sentence in found} == {None}
    assert {sentence.language for sentence in found} == {corpus[0].language}
    assert words_of(make(reader=kind).sentences(path, "en")) == words_of(found)


def test_as_the_unlabelled_text_of_a_multilingual_reader():
    params = {
        "type": "multilingual",
        "languages": ["en", "es"],
        "reader": "structkd_conll",
        "unlabelled_reader": {
            "type": "ngram_text",
            "reader": "structkd_conll",
            "max_instances": 50,
        },
    }
    reader = DatasetReader.from_params(Params(params))
    sentences = list(reader.sentences([TRAIN, {"unlabelled": TRAIN + "#fold=1of2"}]))
    unlabelled = [s for s in sentences if s.tags is None]
    assert Counter(s.language for s in unlabelled) == {"en": 50, "es": 50}
    assert not set(words_of(unlabelled)) & set(words_of(s for s in sentences if s.tags is not None))
    # Of this part of the labels alone.
    part = DatasetReader.by_name("structkd_conll")()
    for language in ("en", "es"):
        path = TRAIN.replace("{language}", language) + "#fold=1of2"
        known = {word for s in part.sentences(path) for word in s.words}
        assert {w for s in unlabelled if s.language == language for w in s.words} <= known


def test_of_the_first_sentences_in_the_language_that_the_file_names(tmp_path):
    path = tmp_path / "x"
    rows = [f"gl:{word}\tO" if word else "" for word in (*"abc", "", *"dbe", "", *"fbg", "")]
    path.write_text("\n".join(rows))
    own = {"type": "wikiann", "max_instances": 2}
    params = {
        "type": "multilingual",
        "reader": "wikiann",
        "unlabelled_reader": {"type": "ngram_text", "reader": own},
    }
    sentences = list(DatasetReader.from_params(Params(params)).sentences({"unlabelled": str(path)}))
    assert sorted(words_of(sentences)) == [("a", "b", "e"), ("d", "b", "c")]
    assert {sentence.language for sentence in sentences} == {"gl"}


def test_a_corpus_of_few_sentences_gives_few(tmp_path, caplog):
    path = tmp_path / "x"
    path.write_text("a b c\nd b e\n")
    reader = NGramTextReader(UnlabelledTextReader(), max_instances=10)
    with caplog.at_level(logging.WARNING):
        found = words_of(reader.sentences(path, "en"))
    assert sorted(found) == [("a", "b", "e"), ("d", "b", "c")]
    assert f"{path}: only 2 different sentences were found by sampling, not 10" in caplog.text


def test_what_cannot_be_sampled_from(tmp_path):
    path = tmp_path / "x"
    path.write_text("a b c\n")
    reader = NGramTextReader(UnlabelledTextReader())
    message = complaint(lambda: reader.sentences(path, "en"))
    assert message.startswith(f"{path}: no other sentences can be made")
    message = complaint(lambda: reader.sentences(tmp_path / "y", "en"))
    assert str(tmp_path / "y") in message
    with pytest.raises(ConfigurationError, match='"reader" of an "ngram_text" dataset reader'):
        make(reader="sequence_tagging")
