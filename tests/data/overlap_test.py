import hypothesis.strategies as st
import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.data import Token
from hypothesis import given

from structkd_allennlp.data.corpus_paths import CorpusFile, Part, files_of
from structkd_allennlp.data.overlap import (
    check_folds,
    labelled_digests,
    overlapping_files,
    parts_overlap,
    repeated,
)
from structkd_allennlp.data.sentences import TaggedSentence

PARTS = st.integers(2, 6).flatmap(
    lambda n: st.builds(Part, st.integers(1, n), st.just(n), st.booleans())
)


@given(st.lists(PARTS, min_size=1, max_size=3))
def test_parts_overlap_where_a_sentence_is_in_all(parts):
    """Of 2,000 sentences there are some for each of the 60 residues that 2 to 6 folds have."""
    sentences = ([str(i)] for i in range(2000))
    found = any(all(part.selects(words) for part in parts) for words in sentences)
    assert parts_overlap(parts) is found


@pytest.mark.parametrize(
    ("parts", "overlap"),
    [
        ([Part(1, 12), Part(1, 3)], True),
        ([Part(2, 12), Part(1, 3)], False),
        ([Part(1, 10), Part(1, 10, others=True)], False),
        ([Part(1, 10), Part(2, 10, others=True)], True),
        ([Part(1, 3), Part(1, 2)], True),
        ([Part(1, 999_983), Part(1, 999_979)], True),
        ([Part(1, 999_983), Part(1, 999_983, others=True), Part(1, 999_979)], False),
    ],
)
def test_folds(parts, overlap):
    assert parts_overlap(parts) is overlap


def test_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    train = files_of([f"en={tmp_path}/a#not-fold=1of10", f"{tmp_path}/b#fold=1of3"])
    assert overlapping_files(train, files_of(f"{tmp_path}/a#fold=1of10")) == []
    assert overlapping_files(train, files_of(f"{tmp_path}/link")) == [
        (f"{tmp_path}/a#not-fold=1of10", f"{tmp_path}/link")
    ]
    nested = f"{tmp_path}/b#fold=1of12"
    assert overlapping_files(train, [CorpusFile(nested)]) == [(f"{tmp_path}/b#fold=1of3", nested)]


def sentence(words, language="en", tags=True):
    return TaggedSentence(
        [Token(word) for word in words.split(" ")], ["O"] if tags else None, language
    )


def test_repeated_sentences():
    known = labelled_digests([sentence("a b"), sentence("c"), sentence("unlabelled", tags=False)])
    others = [sentence("a b"), sentence("a b"), sentence("a\u00a0b"), sentence("unlabelled")]
    assert repeated([*others, sentence("c", "es"), sentence("d", "fr")], known) == {
        "en": (2, 4),
        "es": (1, 1),
        "fr": (0, 1),
    }


def test_folds_of_what_has_to_be_disjoint():
    def files(*paths):
        return files_of(list(paths))

    train = files("a#not-fold=1of10#not-fold=2of10", {"unlabelled": "a"})
    check_folds({"train": train, "dev": files("a#fold=1of10"), "test": files("a#fold=2of10")})
    # A hundredth lies in a tenth.
    with pytest.raises(ConfigurationError, match=r"train has no .* a#not-fold=1of10#fold=1of100\."):
        check_folds({"train": files("b", "a#not-fold=1of10#fold=1of100")})
    # A whole file that is trained and tested on is somebody's decision.
    check_folds({"train": files("a"), "dev": files("a")})
    for others in (
        {"dev": files("b", "a#fold=1of3")},
        {"dev": files("a#fold=1of10"), "test": files("a#fold=1of20")},
        {"test": files("a")},
    ):
        with pytest.raises(ConfigurationError, match=r"sentences in common.* a#.*to train"):
            check_folds({"train": train, **others})
