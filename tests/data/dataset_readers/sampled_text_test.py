from collections import Counter

import pytest
from allennlp.common.checks import ConfigurationError
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.data.dataset_readers import (
    MultilingualReader,
    UnlabelledTextReader,
    WikiAnnReader,
)
from structkd_allennlp.data.dataset_readers.sampled_text import SampledText, copies_by_language

SIZES = {"en": 40, "de": 11, "gl": 3}


@pytest.fixture
def text(tmp_path):
    """A function that samples files of these sizes, each sentence with words of its own."""
    for language, size in SIZES.items():
        lines = "".join(f"{language} {i}\n" for i in range(size))
        (tmp_path / f"{language}.txt").write_text(lines, encoding="utf-8")

    def sampled(exponent):
        reader = MultilingualReader(reader=UnlabelledTextReader(), languages=list(SIZES))
        return SampledText(reader, str(tmp_path / "{language}.txt"), exponent)

    return sampled


def words(sentences):
    return [tuple(sentence.words) for sentence in sentences]


@given(
    st.dictionaries(st.text(max_size=2), st.integers(1, 10**6), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_shares_are_in_proportion_to_a_power_of_the_size(sizes, exponent):
    copies = copies_by_language(sizes, exponent)
    sampled = {x: size * copies[x] for x, size in sizes.items()}
    powers = {x: size**exponent for x, size in sizes.items()}
    for language in sizes:
        share = sampled[language] / sum(sampled.values())
        assert share == pytest.approx(powers[language] / sum(powers.values()))
    assert min(copies.values()) == 1.0


@pytest.mark.parametrize("exponent", [1.0, 0.7, 0.3, 0.0])
def test_every_sentence_comes_and_smaller_languages_more_often(text, exponent):
    sampled = text(exponent)
    assert sampled.sizes == SIZES
    counts = Counter(words(sampled.sentences()))
    for language, size in SIZES.items():
        own = [counts[language, str(i)] for i in range(size)]
        assert min(own) >= 1
        assert max(own) - min(own) <= 1
        assert sum(own) == round(size * (40 / size) ** (1 - exponent))


def test_languages_are_spread_evenly(text):
    languages = [sentence.language for sentence in text(0.0).sentences()]
    assert languages[:30].count("gl") == languages[-30:].count("gl") == 10


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_share_the_text(text, shards):
    sampled = text(0.5)
    parts = [words(sampled.sentences(i, shards)) for i in range(shards)]
    assert Counter(x for part in parts for x in part) == Counter(words(sampled.sentences()))
    for language in SIZES:
        own = [sum(x[0] == language for x in part) for part in parts]
        assert max(own) - min(own) <= 1


@pytest.mark.parametrize("exponent", [-0.1, 1.5])
def test_exponents_that_make_no_sense(text, exponent):
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        text(exponent)


def test_a_file_in_two_languages(tmp_path):
    path = tmp_path / "mixed"
    path.write_text("en:one\tO\n\nde:eins\tO\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"sentences in de, en\. Split the file"):
        SampledText(MultilingualReader(reader=WikiAnnReader()), str(path), 0.7)
