import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader

from structkd_allennlp.data import ConllReader
from tests.data import FIXTURES, complaint


def read(path, text, **params):
    path.write_text(text, encoding="utf-8", newline="")
    reader = DatasetReader.from_params(Params({"type": "structkd_conll", **params}))
    assert isinstance(reader, ConllReader)
    return [([t.text for t in s.tokens], s.tags) for s in reader.sentences(path)]


@pytest.mark.parametrize(
    ("language", "split", "count"),
    [("en", "train", 45), ("es", "dev", 15), ("nl", "test", 15), ("pt", "test", 15)],
)
def test_fixtures_agree_with_their_masters(language, split, count):
    master = (FIXTURES / "sentences" / language / f"{split}.txt").read_text(encoding="utf-8")
    expected = []
    for block in master.strip().split("\n\n"):
        rows = [row.split("\t") for row in block.split("\n") if not row.startswith("#")]
        expected.append([(r[0].replace(" ", ""), r[2]) for r in rows if r[2] != "-"])
    sentences = list(ConllReader().sentences(FIXTURES / "conll" / language / f"{split}.txt"))
    assert [
        [(t.text, tag) for t, tag in zip(s.tokens, s.tags or [], strict=True)] for s in sentences
    ] == expected
    assert len(sentences) == count


def test_columns_and_separators(tmp_path):
    text = "a \t NN\tI-X \n  b NN  I-X\n \t \nc NN O"
    assert read(tmp_path / "x", text) == [(["a", "b"], ["B-X", "I-X"]), (["c"], ["O"])]
    assert read(tmp_path / "x", text, tag_column=1, label_encoding=None)[0][1] == ["NN", "NN"]
    assert read(tmp_path / "x", text, token_column=-2, tag_column=2)[0] == (
        ["NN", "NN"],
        ["B-X", "I-X"],
    )


@pytest.mark.parametrize(
    "odd", ["20\u00a0000", "a\u2028b", "a\x85b", "\u3000", "a\x0bb", "#x", '"']
)
def test_only_spaces_and_tabs_separate(tmp_path, odd):
    assert read(tmp_path / "x", f"{odd} O\nb O\n") == [([odd, "b"], ["O", "O"])]


def test_document_marks_are_no_tokens(tmp_path):
    text = (
        "-DOCSTART- -X- -X- O\n\na x x O\n\n"  # CoNLL-2003: a sentence of its own.
        "-DOCSTART- -DOCSTART- O\nb x x O\n\n"  # CoNLL-2002: at the start of one.
        "c x x O\n-DOCSTART-\nd x x O\n"
    )
    assert read(tmp_path / "x", text) == [([word], ["O"]) for word in "abcd"]


def test_stray_inside_tags_start_a_chunk(tmp_path):
    # As in the Spanish files of CoNLL-2002.
    text = "Río x I-LOC\nde x I-LOC\nJaneiro x I-LOC\ny x O\nX x B-LOC\nY x I-PER\n"
    assert read(tmp_path / "x", text)[0][1] == ["B-LOC", "I-LOC", "I-LOC", "O", "B-LOC", "B-PER"]
    assert read(tmp_path / "x", text, label_encoding="BIOUL")[0][1] == [
        *("B-LOC", "I-LOC", "L-LOC", "O", "U-LOC", "U-PER")
    ]


def test_bioul_is_read_as_such(tmp_path):
    text = "a B-X\nb L-X\nc U-X\n"
    assert read(tmp_path / "x", text)[0][1] == ["B-X", "I-X", "B-X"]
    assert read(tmp_path / "x", text, label_encoding="BIOUL")[0][1] == ["B-X", "L-X", "U-X"]


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("a x O\n\nb O\n", 3, ["2 columns ('b O')", "line 1 has 3"]),
        ("a O\nb c x O\n", 2, ["4 columns ('b c x O')", "line 1 has 2"]),
        ("a O\n\nb\n", 3, ["1 column ('b')", "line 1 has 2"]),
        ("\n\na\nb\n", 3, ["1 column ('a')", "2 are needed"]),
        ("\u00a0\n", 1, ["1 column"]),
        (
            "-DOCSTART- O\na O\nb O-X\n",
            3,
            ["'O-X' is not a valid IOB1 or BIO tag", '"label_encoding": null'],
        ),
        (
            "a O\r\n\r\nb NOUN\r\n",
            3,
            ["'NOUN' is not a valid IOB1 or BIO tag", '"label_encoding": null'],
        ),
        ("a O\nb S-PER\n", 2, ["'S-PER' is not a valid IOB1 or BIO tag"]),
        ("a U-PER\n\nb I-PER\n", 3, ["'I-PER' cannot start a sentence in BIOUL", "L- or U-"]),
    ],
)
def test_bad_files(tmp_path, text, line, parts):
    message = complaint(lambda: read(tmp_path / "x", text))
    assert message.startswith(f"{tmp_path / 'x'}, line {line}: ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("scheme", "tag", "problem"),
    [
        ("BIOUL", "I-PER", "'I-PER' cannot follow 'O' in BIOUL"),
        ("BIO", "I-PER", "'I-PER' cannot follow 'O' in BIO"),
        ("IOB1", "B-PER", "'B-PER' cannot follow 'O' in IOB1"),
    ],
)
def test_an_explicit_input_encoding_is_kept_to(tmp_path, scheme, tag, problem):
    message = complaint(
        lambda: read(tmp_path / "x", f"a O\n\nb O\nc {tag}\n", input_encoding=scheme)
    )
    assert message.startswith(f"{tmp_path / 'x'}, line 4: {problem}")
    assert f"\"input_encoding\" is '{scheme}'" in message
    assert read(tmp_path / "x", f"c {tag}\n") == [(["c"], ["B-PER"])]
    # Without a label_encoding nothing is read into the tags.
    raw = read(tmp_path / "x", f"c {tag}\n", input_encoding=scheme, label_encoding=None)
    assert raw == [(["c"], [tag])]


GERMEVAL = """\
#\tn-tv.de vom 26.02.2005 [2005-02-26]
1\tSchartau\tB-PER\tO
2\tsagte\tO\tO

#\thttp://de.wikipedia.org/wiki/1951 [2009-10-23]
1\t#\tO\tO
2\tBayern\tB-ORG\tB-LOC
"""


def test_comments(tmp_path):
    params = {"token_column": 1, "tag_column": 2}
    assert read(tmp_path / "x", GERMEVAL, comment="#", **params) == [
        (["Schartau", "sagte"], ["B-PER", "O"]),
        (["#", "Bayern"], ["O", "B-ORG"]),
    ]
    message = complaint(lambda: read(tmp_path / "x", GERMEVAL, **params))
    assert message.startswith(f"{tmp_path / 'x'}, line 2: 4 columns")
    assert 'set "comment": "#"' in message
    # Only ahead of a sentence: a word may start with the sign, and comments alone are no sentence.
    text = "# a\n#\n\n# b\nx O\n# O\n\n-DOCSTART- O\n# c\ny O\n"
    expected = [(["x", "#"], ["O", "O"]), (["y"], ["O"])]
    assert read(tmp_path / "x", text, comment="#") == expected
    assert read(tmp_path / "x", "# O\nx O\n") == [(["#", "x"], ["O", "O"])]


@pytest.mark.parametrize(("name", "column"), [("token_column", 2), ("tag_column", -3)])
def test_columns_that_are_not_there(tmp_path, name, column):
    message = complaint(lambda: read(tmp_path / "x", "\na O\n", **{name: column}))
    assert message.startswith(f'{tmp_path / "x"}, line 2: "{name}" is {column}')
    assert "2 columns" in message
