import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader

from structkd_allennlp.data import WikiAnnReader
from tests.data import FIXTURES, complaint


def read(path, text, language=None, **params):
    path.write_text(text, encoding="utf-8", newline="")
    reader = DatasetReader.from_params(Params({"type": "wikiann", **params}))
    assert isinstance(reader, WikiAnnReader)
    sentences = reader.sentences(path, language)
    return [(s.language, [t.text for t in s.tokens], s.tags) for s in sentences]


def test_fixtures():
    sentences = list(WikiAnnReader().sentences(FIXTURES / "wikiann" / "es" / "train"))
    assert len(sentences) == 45
    assert {s.language for s in sentences} == {"es"}
    assert [t.text for t in sentences[0].tokens][:5] == ["Maria", "Lopes", "vive", "en", "Oporto"]
    assert (sentences[0].tags or [])[:5] == ["B-PER", "I-PER", "O", "O", "B-LOC"]
    instance = next(iter(WikiAnnReader().read(FIXTURES / "wikiann" / "es" / "train")))
    assert instance["metadata"].metadata["language"] == "es"


def test_only_the_first_colon_and_the_tab_separate(tmp_path):
    text = "en::\tO\nen:3:15\tO\nen:''\tB-ORG\nen:a b\tI-ORG\nen:x\u00a0y\tO \r\n"
    assert read(tmp_path / "x", text) == [
        ("en", [":", "3:15", "''", "a b", "x\u00a0y"], ["O", "O", "B-ORG", "I-ORG", "O"])
    ]


@pytest.mark.parametrize("code", ["zh-classical", "be-x-old", "simple", "zh-min-nan", "map-bms"])
def test_long_language_codes(tmp_path, code):
    assert read(tmp_path / "x", f"{code}:a\tO\n") == [(code, ["a"], ["O"])]
    assert read(tmp_path / "x", f"{code}:a\tO\n", language=code)[0][0] == code


def test_each_sentence_may_have_its_language(tmp_path):
    text = "en:a\tO\n\nde:b\tO\n"
    assert [language for language, _, _ in read(tmp_path / "x", text)] == ["en", "de"]


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("en:a\tO\nde:b\tO\n", 2, ["'de'", "its sentence starts with 'en'"]),
        ("en:a\tO\n\nen:b O\n", 3, ["'en:b O' is not a WikiAnn line"]),
        ("a\tO\n", 1, ["'a\\tO' is not a WikiAnn line"]),
        ("en:\tO\n", 1, ["is not a WikiAnn line"]),
        ("en:a\t\n", 1, ["is not a WikiAnn line"]),
        ("en:a\tNN\tO\n", 1, ["is not a WikiAnn line"]),
        (":a\tO\n", 1, ["is not a WikiAnn line"]),
        ("en:a\tO\nen:b\tX-PER\n", 2, ["'X-PER' is not a valid IOB1 or BIO tag"]),
    ],
)
def test_bad_files(tmp_path, text, line, parts):
    message = complaint(lambda: read(tmp_path / "x", text))
    assert message.startswith(f"{tmp_path / 'x'}, line {line}: ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("configured", "given"), [("en", None), (None, "en"), ("de", "en")], ids=str
)
def test_a_configured_language_must_not_be_contradicted(tmp_path, configured, given):
    path = tmp_path / "x"
    path.write_text("en:a\tO\n\nde:b\tO\n")
    message = complaint(lambda: WikiAnnReader(language=configured).sentences(path, given))
    assert message.startswith(
        f"{tmp_path / 'x'}, line 3: the language is 'de', but the configuration says 'en'"
    )
    assert "Correct" in message
