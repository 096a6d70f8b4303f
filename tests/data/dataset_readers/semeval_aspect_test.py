import logging
import re
from typing import List, Tuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import hypothesis.strategies as st
import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader, Token, Tokenizer
from hypothesis import given, settings

from structkd_allennlp.data import SemEvalAspectReader
from tests.data import FIXTURES, complaint

Opinion = Tuple[str, object, object]


def opinion(target, start, end):
    return (
        f'<Opinion target={quoteattr(target)} category="FOOD#QUALITY" polarity="positive" '
        f'from="{start}" to="{end}"/>'
    )


def sentence(text, *opinions, id_="1:0"):
    inner = "".join(opinion(*o) for o in opinions)
    return (
        f'<sentence id="{id_}"><text>{escape(text)}</text><Opinions>{inner}</Opinions></sentence>'
    )


def reviews(*sentences, head='<?xml version="1.0" encoding="UTF-8"?>\n'):
    return f"{head}<Reviews><Review><sentences>{''.join(sentences)}</sentences></Review></Reviews>"


def read(path, xml, **params):
    path.write_text(xml, encoding="utf-8")
    reader = DatasetReader.from_params(Params({"type": "semeval_aspect", **params}))
    assert isinstance(reader, SemEvalAspectReader)
    return list(reader.sentences(path))


class Pieces(Tokenizer):
    """Tokens are what matches a pattern; they carry their starts only."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def tokenize(self, text: str) -> List[Token]:
        return [Token(match[0], match.start()) for match in re.finditer(self.pattern, text)]


def targets(sentence) -> List[str]:
    """The words of each entity, joined."""
    found: List[List[str]] = []
    for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
        if tag == "B-TARGET":
            found.append([token.text])
        elif tag == "I-TARGET":
            found[-1].append(token.text)
    return [" ".join(words) for words in found]


@pytest.mark.parametrize(
    ("language", "split", "count"), [("en", "train", 30), ("es", "dev", 10), ("pt", "test", 10)]
)
def test_fixtures(language, split, count):
    path = FIXTURES / "aspect" / language / f"{split}.xml"
    sentences = list(SemEvalAspectReader(language=language).sentences(path))
    assert len(sentences) == count
    for element, parsed in zip(ElementTree.parse(path).iter("sentence"), sentences, strict=True):
        expected = {
            (int(o.get("from", "")), o.get("target", ""))
            for o in element.iter("Opinion")
            if o.get("target") not in ("NULL", "")
        }
        assert [t.replace(" ", "") for t in targets(parsed)] == [
            text.replace(" ", "") for _, text in sorted(expected)
        ]
    assert any(targets(s) for s in sentences)


@pytest.mark.parametrize(
    ("text", "opinions", "expected"),
    [
        ("The wine list was long", [("wine list", 4, 13)], ["wine list"]),
        ("no opinions", [], []),
        # NULL decides, whatever its offsets; Turkish leaves the target empty.
        ("The wine list", [("NULL", 4, 13)], []),
        ("The wine list", [("", 0, 0)], []),
        # Several opinions of one target.
        ("The wine list", [("wine", 4, 8), ("wine", 4, 8)], ["wine"]),
        # The offsets are right, the target is lower-cased.
        ("Ontbijtbuffet was top", [("ontbijtbuffet", 0, 13)], ["Ontbijtbuffet"]),
        # Emoji: two UTF-16 units each, one code point.
        ("😎 Etleri 😎 iyi çay", [("Etleri", 3, 9)], ["Etleri"]),
        ("😎 Etleri 😎 iyi çay", [("Etleri", 2, 8)], ["Etleri"]),
        ("😎 Etleri 😎 iyi çay", [("çay", 17, 20)], ["çay"]),
        # A list that is no part of the text, and other offsets that can not be.
        ("ahtapot, karides", [("ahtapot karides", -1, 28)], []),
        ("wine list", [("wine", -9, -5)], []),
        ("wine list", [("list", 5, 99)], ["list"]),
        ("wine list", [("wine", 4, 0)], []),
        ("wine list", [("wine", 0, 0)], []),
        ("wine list", [("beer", 0, 4)], []),
        ("wine list", [("wine", 5, 9)], []),
        # Nested and overlapping: the longer one.
        (
            "trabajo en la cocina, si",
            [("trabajo en la cocina", 0, 20), ("trabajo en la cocina,", 0, 21)],
            ["trabajo en la cocina ,"],
        ),
        ("a b c d", [("a b", 0, 3), ("b c d", 2, 7)], ["b c d"]),
        ("a b c d", [("a b", 0, 3), ("b c", 2, 5)], ["a b"]),
        ("a b c d", [("a b", 0, 3), ("c d", 4, 7)], ["a b", "c d"]),
        # Inside a token: all of it.
        ("bir hamburgerini yedim", [("hamburgeri", 4, 14)], ["hamburgerini"]),
        ("los segundos platos", [("egundos platos", 5, 19)], ["segundos platos"]),
        ("xab y", [("a", 1, 2), ("b", 2, 3)], ["xab"]),
        # White space counts for the offsets, but is no token.
        ("  wine  list ", [("wine  list", 2, 12)], ["wine list"]),
        (" wine  list", [(" wine ", 0, 6)], ["wine"]),
        ("wine\tlist", [("wine list", 0, 9)], ["wine list"]),
        ("<+> \"Pa & Ma\" is 'ok'", [('"Pa & Ma"', 4, 13)], ['" Pa & Ma "']),
    ],
)
def test_targets(tmp_path, text, opinions, expected):
    (parsed,) = read(tmp_path / "x.xml", reviews(sentence(text, *opinions)), language="en")
    assert targets(parsed) == expected
    assert set(parsed.tags) <= {"O", "B-TARGET", "I-TARGET"}
    assert [text[t.idx : t.idx_end] for t in parsed.tokens] == [t.text for t in parsed.tokens]


def test_bioul(tmp_path):
    xml = reviews(sentence("wine list and wine", ("wine list", 0, 9), ("wine", 14, 18)))
    (parsed,) = read(tmp_path / "x.xml", xml, label_encoding="BIOUL")
    assert parsed.tags == ["B-TARGET", "L-TARGET", "O", "U-TARGET"]


@settings(max_examples=200, deadline=None)
@given(
    st.text("ab 😎", min_size=1, max_size=10).filter(lambda text: text.strip()),
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), max_size=3),
)
def test_alignment_by_brute_force(tmp_path_factory, text, spans):
    spans = [(a, b) for a, b in spans if text[a:b].strip() and b <= len(text)]
    path = tmp_path_factory.mktemp("aspect") / "x.xml"
    xml = reviews(sentence(text, *((text[a:b], a, b) for a, b in spans)))
    path.write_text(xml, encoding="utf-8")
    (parsed,) = SemEvalAspectReader(tokenizer=Pieces(".")).sentences(path)
    # Each character is a token here, so the longest targets are found character by character.
    stripped = {
        (a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip()))
        for a, b in spans
    }
    lengths = {b - a for a, b in stripped}
    if len(lengths) == len(stripped):  # No ties.
        kept = []
        for a, b in sorted(stripped, key=lambda s: s[0] - s[1]):
            if all(b <= c or d <= a for c, d in kept):
                kept.append((a, b))
        expected = ["O"] * len(text)
        for a, b in kept:
            expected[a:b] = ["B-TARGET"] + ["I-TARGET"] * (b - a - 1)
        assert parsed.tags == expected


def test_sentences_without_opinions_stay_and_without_text_go(tmp_path, caplog):
    xml = reviews(
        '<sentence id="1" OutOfScope="TRUE"><text>one</text></sentence>',
        '<sentence OutOfScope="TRUE" id="2"><text>two</text><Opinions/></sentence>',
        '<sentence id="3"><text></text></sentence>',
        '<sentence id="4"><text>  </text></sentence>',
        '<sentence id="5"/>',
        sentence("wine", ("wine", 0, 4)),
    )
    with caplog.at_level(logging.INFO):
        sentences = read(tmp_path / "x.xml", xml)
    assert [s.tags for s in sentences] == [["O"], ["O"], ["B-TARGET"]]
    (record,) = [r for r in caplog.records if "x.xml" in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert "3 sentences, 1 targets, 3 sentences dropped" in record.getMessage()


def test_one_line_of_log_a_file_counts_everything(tmp_path, caplog):
    xml = reviews(
        sentence(
            "😎 wine list", ("wine", 3, 7), ("wine", 2, 6), ("ine list", 3, 11), ("NULL", 0, 0)
        ),
        sentence("b", ("c", 0, 1)),
    )
    with caplog.at_level(logging.INFO):
        read(tmp_path / "x.xml", xml)
    (record,) = [r for r in caplog.records if "x.xml" in r.getMessage()]
    assert record.getMessage() == (
        f"{tmp_path / 'x.xml'}: 2 sentences, 1 targets, 1 opinions without a target, "
        "1 opinions on a target already counted, 1 targets dropped for a longer one that overlaps, "
        "1 targets widened to whole tokens, 1 targets with offsets in UTF-16 units, "
        "1 targets dropped because the text at their offsets differs"
    )


def test_encodings_and_line_ends(tmp_path):
    xml = reviews(sentence("Río", ("Río", 0, 3)), head='\ufeff<?xml version="1.0"?>\r\n')
    (parsed,) = read(tmp_path / "x.xml", xml)
    assert targets(parsed) == ["Río"]
    head = "<?xml version='1.0' encoding='iso-8859-1'?>\n"
    path = tmp_path / "latin.xml"
    path.write_bytes(reviews(sentence("Río", ("Río", 0, 3)), head=head).encode("iso-8859-1"))
    (parsed,) = SemEvalAspectReader(encoding="iso-8859-1").sentences(path)
    assert targets(parsed) == ["Río"]
    message = complaint(lambda: SemEvalAspectReader().sentences(path))
    assert message.startswith(f"{path}, line 2: the byte 0xed")
    assert 'Set "encoding": "iso-8859-1"' in message


BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n'
    "<Reviews><sentence><text>&b;</text></sentence></Reviews>"
)
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    "<Reviews><sentence><text>&a;</text></sentence></Reviews>"
)


@pytest.mark.parametrize(
    ("xml", "place", "parts"),
    [
        (reviews(sentence("a")) + "\n<x>", ", line 3: malformed XML (junk after", ["Correct"]),
        ("<Reviews>\n<a></b>", ", line 2: malformed XML (mismatched tag", []),
        ("not XML", ", line 1: malformed XML (syntax error", []),
        ("", ", line 1: malformed XML (no element found", []),
        ("<Reviews/>", ": no sentences", []),
        ("<Reviews><sentence id='1'/></Reviews>", ": no sentences", []),
        (BOMB, ": refused", ["EntitiesForbidden", "name='a'", "Remove the entity"]),
        (OUTSIDE, ": refused", ["EntitiesForbidden"]),
        (
            reviews(sentence("a", ("a", "x", 1), id_="9:1")),
            ", sentence '9:1': an <Opinion> with target='a' from='x' to='1'",
            ["whole numbers"],
        ),
        (
            reviews(sentence("a").replace("</Opinions>", "<Opinion target='a'/></Opinions>")),
            ", sentence '1:0': an <Opinion> with target='a' from=None to=None",
            [],
        ),
        (
            reviews(sentence("a").replace("</Opinions>", "<Opinion from='0' to='1'/></Opinions>")),
            ", sentence '1:0': an <Opinion> with target=None",
            ['"NULL"'],
        ),
    ],
)
def test_bad_files(tmp_path, xml, place, parts):
    path = tmp_path / "x.xml"
    message = complaint(lambda: read(path, xml))
    assert message.startswith(f"{path}{place}")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("before", "after"),
    [("<a>", "</a>"), ('<a b="', '"/>'), ("<a><![CDATA[", "")],
)
def test_xml_that_would_take_minutes(tmp_path, before, after):
    path = tmp_path / "x.xml"
    path.write_text(before + "x" * 30_000_000 + after)
    message = complaint(lambda: SemEvalAspectReader().sentences(path))
    assert message.startswith(f"{path}: a text of more than 10,000,000 characters, which starts")
    assert len(message) < 300 + len(str(path))


def test_a_tokenizer_without_offsets_is_refused(tmp_path):
    xml = reviews(sentence("wine", ("wine", 0, 4)))
    message = complaint(lambda: read(tmp_path / "x.xml", xml, tokenizer="just_spaces"))
    assert "sentence '1:0': the tokenizer" in message
    assert '"blank_spacy"' in message


def test_a_tokenizer_with_starts_only_will_do(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(reviews(sentence("wine list.", ("list", 5, 9))))
    (parsed,) = SemEvalAspectReader(tokenizer=Pieces(r"\S+")).sentences(path)
    assert targets(parsed) == ["list."]
