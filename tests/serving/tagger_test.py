"""An exported tagger says what the predictor says of its archive."""

import subprocess
import sys

import pytest
from allennlp.predictors import Predictor
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.serving import Tagger

ARCHIVE = "fixtures/teachers/en.tar.gz"

WORD = st.text(st.characters(codec="utf-8"), min_size=1)

SENTENCES = [
    "Maria Silva sings in Rotterdam, for Acme Corp.",
    ["Ada", "Lovelace", "lives", "."],
    "",
    ["日本", "𝔘nicode", "z" * 400],
    " a  b\tc ",
    "Dr. O'Neill-Smith paid $3.50 (about €3) at http://example.org/a_b.",
    ["a"],
    "日本語 ไทย mixed",
]


@pytest.fixture(scope="module")
def predictor():
    return Predictor.from_path(ARCHIVE, "structured_tagger")


def of_predictor(predictor, sentences, language, top_k, marginals):
    predictor._tagger.top_k, predictor._tagger.marginals = top_k, marginals
    key = {str: "sentence", list: "words"}
    return predictor.predict_batch_json(
        [{key[type(own)]: own, "language": language} for own in sentences]
    )


def same(found, expected):
    """Numbers are those of float32."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            same(*pair)
    else:
        assert found == expected


@pytest.mark.parametrize("language", [None, "en", "nl", "qa"])
@pytest.mark.parametrize(("top_k", "marginals"), [(1, False), (3, True), (1000, False)])
def test_the_same_as_the_predictor(tagger, predictor, language, top_k, marginals):
    expected = of_predictor(predictor, SENTENCES, language, top_k, marginals)
    found = tagger.tag(SENTENCES, language, top_k, marginals)
    if top_k == 1000:
        # Far down the list equal scores may change places.
        for result in (*found, *expected):
            result["top_k"] = [own["score"] for own in result["top_k"]]
    same(found, expected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(WORD, min_size=1), max_size=8))
def test_any_words(tagger, predictor, sentences):
    if any("@@PADDING@@" in words for words in sentences):
        return
    same(tagger.tag(sentences, top_k=2), of_predictor(predictor, sentences, None, 2, False))


def test_compiled_loops_change_nothing(exported, tagger):
    warm = Tagger.load(exported, threads=1)
    warm.warm_up()
    same(warm.tag(SENTENCES, "en", 4, True), tagger.tag(SENTENCES, "en", 4, True))


def test_a_sentence_alone_is_what_it_is_in_a_batch(tagger):
    together = tagger.tag(SENTENCES, top_k=2)
    same([tagger.tag([own], top_k=2)[0] for own in SENTENCES], together)


def test_a_language_for_each(tagger):
    results = tagger.tag([["a"], "b", []], ["nl", None, "fr"])
    assert [result["language"] for result in results] == ["nl", None, "fr"]


@pytest.mark.parametrize(
    ("sentences", "arguments", "message"),
    [
        ("a string", {}, "put it into a list"),
        ([["a", ""]], {}, "non-empty strings"),
        ([["a"], [3]], {}, "sentence 2: .*non-empty strings"),
        (["half \ud800 of a pair"], {}, "character 6"),
        ([None], {}, "needs either"),
        ([["a"]], {"top_k": 0}, "at least 1"),
        ([["a"]], {"top_k": True}, "at least 1"),
        ([["a"]], {"language": 3}, "language"),
        ([["a"]], {"language": ["en", "de"]}, "2 languages for 1 sentences"),
        ([["a"] * 250_001], {}, "Split it"),
        (["a" * 4_000_001], {}, "split it"),
        ([["a"] * 10_000], {"top_k": 10_000}, "fewer sequences"),
    ],
)
def test_what_cannot_be_tagged(tagger, sentences, arguments, message):
    with pytest.raises(ValueError, match=message):
        tagger.tag(sentences, **arguments)


def test_what_it_says_of_itself(exported, tagger):
    assert tagger.name == "en"
    assert tagger.info["languages"] == ["en"]
    assert tagger.info["labels"][0] == "O"
    assert tagger.info["label_encoding"] == "BIO"
    assert tagger.info["size"] == sum(file.stat().st_size for file in exported.iterdir())
    assert "# en" in tagger.card


WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "allennlp", "allennlp_models", "transformers"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from structkd_allennlp.serving import Tagger
tagger = Tagger.load(sys.argv[1])
print(tagger.tag([["Maria", "sings"]], top_k=3, marginals=True)[0]["tags"])
print(sorted({"numba", "spacy", "torch"} & set(sys.modules)))
print(tagger.tag(["Maria sings"], "en")[0]["tags"])
assert "spacy" not in sys.modules
tagger.warm_up()
print(tagger.tag([["Maria", "sings"]], top_k=3, marginals=True)[0]["tags"])
"""


def test_neither_torch_nor_allennlp_is_needed(exported):
    command = [sys.executable, "-c", WITHOUT, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert lines[0] == lines[2] == lines[3]
    # What takes long to import is only imported when it is needed.
    assert lines[1] == "[]"
