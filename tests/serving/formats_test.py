"""Sentences come out of a format as they went in, with their tags, and bad ones with reasons."""

import json
import re
from pathlib import Path

import pytest

from structkd_allennlp.common.requests import Request
from structkd_allennlp.serving import formats
from structkd_allennlp.serving.formats import Conll, Conllu, JsonLines, Terminal, Text
from structkd_allennlp.serving.input_files import InputError, InputFile, Line
from structkd_allennlp.serving.terminal import printable
from tests.serving.fake_tagger import FakeTagger


def lines_of(text):
    return (Line(i, line) for i, line in enumerate(text.split("\n"), start=1))


def read(reader, text):
    return list(reader.read(lines_of(text)))


def tagged(form, text):
    """What a format makes of what it has read."""
    parts = []
    for record in read(form, text):
        if record.error is not None:
            parts.append(form.write_error(record.error))
        else:
            result = record.request and FakeTagger().tag_requests([record.request])[0]
            parts.append(form.write(record, result))
    return b"".join(parts).decode()


def test_text_is_taken_as_it_stands():
    records = read(Text(), "Ana sings.\n\n \t\n{not JSON\n[1]")
    assert [(r.line, r.request) for r in records] == [
        (1, Request("Ana sings.", None)),
        (4, Request("{not JSON", None)),
        (5, Request("[1]", None)),
    ]


def test_json_lines_are_those_of_the_predictor():
    text = (
        '{"sentence": "Ana sings.", "language": "en"}\n["Ana", "sings"]\nplain\n\n{"words": 1}\n{'
    )
    *good, types, broken = read(JsonLines(), text)
    assert [(r.line, r.request) for r in good] == [
        (1, Request("Ana sings.", "en")),
        (2, Request(["Ana", "sings"], None)),
        (3, Request("plain", None)),
    ]
    assert types.line == 5
    assert "must be a list of non-empty strings" in types.error
    assert "starts as JSON but is none" in broken.error
    assert json.loads(tagged(JsonLines(), '["Ana"]'))["tags"] == ["B-PER"]
    assert set(json.loads(JsonLines().write_error("no"))) == {"error"}


CONLL = """-DOCSTART- -X- O

Ana  NOUN\tO
sings VERB O

in ADP O
Porto NOUN O"""


def test_conll_keeps_what_is_not_a_tag():
    expected = CONLL.replace("\tO", "\tB-PER").replace("Porto NOUN O", "Porto NOUN B-LOC")
    assert tagged(Conll(), CONLL) == expected + "\n\n"


@pytest.mark.parametrize(
    ("form", "line", "expected"),
    [
        pytest.param(Conll(), "Ana", "Ana\tB-PER", id="a column alone"),
        pytest.param(Conll(tag_column=2), "Ana NOUN", "Ana NOUN B-PER", id="a column more"),
        pytest.param(Conll(tag_column=1), "Ana x y", "Ana B-PER y", id="within"),
        pytest.param(Conll(1, 0), "x\tAna", "B-PER\tAna", id="tokens elsewhere"),
        pytest.param(Conll(-1, 1), "1 x Ana", "1 B-PER Ana", id="from the end"),
        pytest.param(Conll(), "A\u00a0B O", "A\u00a0B B-PER", id="no-break space"),
    ],
)
def test_columns_of_conll(form, line, expected):
    assert tagged(form, line) == f"{expected}\n\n"


@pytest.mark.parametrize(
    ("form", "text", "line", "reason"),
    [
        (Conll(), "Ana O\n\na b c\nd O", 3, "3 columns ('a b c'), but line 1 has 2"),
        (Conll(), "Ana O\n\nb O\nc", 4, "1 column ('c')"),
        (Conll(), "# a comment, I say\nAna O", 2, "--comment '#'"),
        (Conll(tag_column=3), "Ana O", 1, "--tag-column is 3, but there are 2 columns"),
        (Conll(token_column=2), "Ana O", 1, "--token-column is 2"),
        (Conll(), "Ana\rO O", 1, "carriage return"),
        (Conll(), "a O\n\ufeffAna O", 2, "byte order mark"),
        (Conllu(), "1\tAna", 1, "malformed line '1\\tAna' (2 columns)"),
        (Conllu(), "x" + "\t_" * 9, 1, "no id"),
        (Conllu(), "2\tAna" + "\t_" * 8, 1, "has the id 2 instead of 1"),
        (Conllu(), "1\t" + "\t_" * 8, 1, "give each a form"),
    ],
)
def test_bad_columns(form, text, line, reason):
    """Have a reason, the number of their line, and no effect on what comes after them."""
    good = "Ana O" if isinstance(form, Conll) else "1\tAna" + "\t_" * 8
    *_, bad, after = read(form, f"{text}\n\n{good}")
    assert bad.error_line == line
    assert reason in bad.error
    if "--t" not in reason and "comment" not in reason:
        assert after.request == Request(["Ana"], None)


def test_comments_of_conll():
    text = "# id 7\nAna O\n# O\n\n# alone"
    records = read(Conll(comment="#"), text)
    assert [r.request and r.request.sentence for r in records] == [["Ana", "#"], None]
    assert tagged(Conll(comment="#"), text) == "# id 7\nAna B-PER\n# O\n\n# alone\n\n"


CONLLU = """# text = Ana na Porto
1\tAna\tAna\tPROPN\tN\tA=b\t0\troot\t_\t_
2-3\tna\t_\t_\t_\t_\t_\t_\t_\t_
2\tin\tem\tADP\t_\t_\t1\tx\t_\t_
3\tPorto\to\tDET\t_\t_\t1\tx\t_\tSpaceAfter=No
3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_

# alone
"""


@pytest.mark.parametrize(("form", "column"), [(Conllu(), 3), (Conllu(4), 4)])
def test_conllu_keeps_what_is_not_a_tag(form, column):
    tags = {"1": "B-PER", "2": "O", "3": "B-LOC"}
    expected = []
    for line in CONLLU.split("\n"):
        cells = line.split("\t")
        if cells[0] in tags:
            cells[column] = tags[cells[0]]
        expected.append("\t".join(cells))
    assert tagged(form, CONLLU) == "\n".join(expected) + "\n"


def test_conllu_has_columns_for_tags():
    with pytest.raises(InputError, match="3 \\(UPOS\\)"):
        Conllu(1)


@pytest.mark.parametrize("path", sorted(Path("fixtures").glob("ud/**/*.conllu")), ids=str)
def test_treebanks_keep_all_but_tags(path):
    """Gold tags written back make the same file."""
    form, parts = Conllu(), []
    for record in form.read(InputFile(str(path)).lines()):
        tags = [record.lines[row].split("\t")[3] for row in record.rows]
        words = record.request.sentence
        parts.append(form.write(record, {"words": words, "tags": tags}))
    assert b"".join(parts) == path.read_bytes()


@pytest.mark.parametrize("form", [Conll(), Conllu()], ids=["conll", "conllu"])
def test_a_sentence_without_end(form, monkeypatch):
    """Only its first line is kept, and reading goes on after it."""
    monkeypatch.setattr(formats, "MOST_LINES", 3)
    row = "x O" if isinstance(form, Conll) else "1\tx" + "\t_" * 8
    bad, good = read(form, "\n".join([row] * 20) + f"\n\n{row}")
    assert re.search(r"more than (3|9) lines starts here", bad.error)
    assert len(bad.lines) == 2
    assert good.line == 22
    assert good.request is not None


def test_columns_from_other_formats():
    (record,) = read(JsonLines(), '["Ana", "lives in", "Porto"]')
    result = FakeTagger().tag_requests([record.request])[0]
    assert Conllu().write(record, result).split(b"\n")[1].split(b"\t")[:4] == [
        b"2", b"lives in", b"_", b"O"
    ]  # fmt: skip
    with pytest.raises(InputError, match="'lives in' has white space in it"):
        Conll().write(record, result)
    result["words"][1] = "sings"
    assert Conll().write(record, result) == b"Ana\tB-PER\nsings\tO\nPorto\tB-PER\n\n"
    result["words"][1] = "a\tb"
    with pytest.raises(InputError, match="white space"):
        Conllu().write(record, result)


@pytest.mark.parametrize("form", [Conll(), Conll(comment="%"), Conllu()])
def test_errors_in_columns_are_comments(form):
    """Whatever they say, and readers of comments read over them."""
    written = form.write_error("line 7:\n\nno\ttag").decode()
    assert written.endswith(" error = line 7: no tag\n\n")
    assert written.count("\n") == 2
    assert read(form, written)[0].request is None or form.comment is None


def test_terminal():
    (record,) = read(Text(), "Ana Silva lives in Porto.")
    result = FakeTagger().tag_requests([record.request], top_k=2)[0]
    plain = Terminal(80, None).write(record, result).decode()
    assert "Ana/B-PER Silva/I-PER lives in Porto/B-LOC ." in plain
    assert "LOC  Porto  19-24" in plain
    assert "2.  25.00%  O O O O O O" in plain
    assert "\x1b" not in plain
    assert b"\x1b[" in Terminal(80, "standard").write(record, result)


def test_a_terminal_obeys_no_text():
    hostile = "\x1b]0;title\x07\x1b[2J[red]x"
    (record,) = read(Text(), f"{hostile} Ana")
    result = FakeTagger().tag_requests([Request([hostile, "Ana"], None)])[0]
    written = Terminal(80, None).write(record, result).decode()
    assert "\x1b" not in written
    assert "[red]x" in written
    assert printable("नमस्ते 👩\u200d🔬") == "नमस्ते 👩\u200d🔬"
