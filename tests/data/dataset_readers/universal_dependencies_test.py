import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader

from structkd_allennlp.data import ConllReader, UniversalDependenciesPosReader
from tests.data import FIXTURES, complaint


def row(id_, form, upos="NOUN", xpos="_"):
    return f"{id_}\t{form}\t_\t{upos}\t{xpos}\t_\t_\t_\t_\t_\n"


def read(path, text, **params):
    path.write_text(text, encoding="utf-8", newline="")
    reader = DatasetReader.from_params(Params({"type": "universal_dependencies_pos", **params}))
    assert isinstance(reader, UniversalDependenciesPosReader)
    return [([t.text for t in s.tokens], s.tags) for s in reader.sentences(path)]


@pytest.mark.parametrize(("language", "split"), [("en", "test"), ("es", "train"), ("pt", "test")])
def test_fixtures_have_the_words_of_the_same_sentences_in_columns(language, split):
    reader = UniversalDependenciesPosReader(language=language)
    treebank = list(reader.sentences(FIXTURES / "ud" / language / f"{split}.conllu"))
    columns = ConllReader(tag_column=1, label_encoding=None).sentences(
        FIXTURES / "conll" / language / f"{split}.txt"
    )
    assert [([t.text.replace(" ", "") for t in s.tokens], s.tags) for s in treebank] == [
        ([t.text for t in s.tokens], s.tags) for s in columns
    ]
    assert {s.language for s in treebank} == {language}


def test_only_words_count(tmp_path):
    text = (
        "# newdoc\n# global.columns = ID FORM\n#\n\n"
        + "# text = x\n"
        + row("1-2", "don't", "_")
        + row(1, "do", "AUX", "VB")
        + row(2, "n't", "PART", "RB")
        + "# a comment amid words\n"
        + row("2.1", "empty", "VERB", "X")
        + row(3, "20  000", "NUM", "CD")
        + row(4, "_", "PUNCT", "NFP")
        + row(5, "#x", "SYM", "SYM")
        + row(6, "9-11", "NUM", "CD")
        + row(7, "4.5", "NUM", "CD")
        + row(8, '"', "PUNCT", "``")
        + row(9, "a\u2028b", "X", "FW")
        + " \n\r\n"
        + row(1, "x", "X", "FW").replace("\n", "\r\n")
    )
    words = ["do", "n't", "20 000", "_", "#x", "9-11", "4.5", '"', "a\u2028b"]
    upos = ["AUX", "PART", "NUM", "PUNCT", "SYM", "NUM", "NUM", "PUNCT", "X"]
    xpos = ["VB", "RB", "CD", "NFP", "SYM", "CD", "CD", "``", "FW"]
    assert read(tmp_path / "x", text) == [(words, upos), (["x"], ["X"])]
    assert read(tmp_path / "x", text, tag="xpos") == [(words, xpos), (["x"], ["FW"])]


def test_columns_that_are_not_read_may_hold_anything(tmp_path):
    text = "1\ta\t_\tX\t_\t=|=\tminus one\t\t1:\t|=\n"
    assert read(tmp_path / "x", text) == [(["a"], ["X"])]


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("# x\n" + row(1, "a", "_"), 2, ["'a' has no upos tag", '"tag": "xpos"']),
        (row(1, "_", "_"), 1, ["'_' has no upos tag"]),
        (row(1, "a") + row(2, "b", ""), 2, ["'b' has no upos tag"]),
        (row(1, "a") + row("x", "b"), 2, ["'x' is not a valid ID", "'x\\tb"]),
        (row(1, "a") + row("3-2", "b"), 2, ["'3-2' is not a valid ID"]),
        (row(1, "a") + row("_", "b"), 2, ["the id None instead of 2"]),
        (row(1, "a") + row(1, "b"), 2, ["'b' has the id 1 instead of 2", "blank line"]),
        (row(1, "a") + row(3, "b"), 2, ["'b' has the id 3 instead of 2"]),
        (row(1, ""), 1, ["the word ''"]),
        (
            row(1, "a") + "\n1 a _ X _ _ _ _ _ _\n",
            3,
            ["(1 column)", "10 columns separated by tabs"],
        ),
        ("1\ta\t_\tX\n", 1, ["malformed line '1\\ta\\t_\\tX' (4 columns)"]),
        (row(1, "a")[:-1] + "\t_\n", 1, ["11 columns"]),
    ],
)
def test_bad_files(tmp_path, text, line, parts):
    message = complaint(lambda: read(tmp_path / "x", text))
    assert message.startswith(f"{tmp_path / 'x'}, line {line}: ")
    for part in parts:
        assert part in message


def test_missing_xpos_and_bad_tag(tmp_path):
    message = complaint(lambda: read(tmp_path / "x", row(1, "a"), tag="xpos"))
    assert "'a' has no xpos tag" in message
    assert '"tag": "upos"' in message
    with pytest.raises(ConfigurationError, match="'pos'"):
        UniversalDependenciesPosReader(tag="pos")


def test_a_label_for_words_without_a_tag(tmp_path):
    text = row(1, "a", "NOUN", "NN") + row(2, "b", "_", "_")
    assert read(tmp_path / "x", text, missing_tag="X") == [(["a", "b"], ["NOUN", "X"])]
    assert read(tmp_path / "x", text, tag="xpos", missing_tag="_") == [(["a", "b"], ["NN", "_"])]
    assert '"missing_tag"' in complaint(lambda: read(tmp_path / "x", text))


def test_comments_alone_are_no_sentence(tmp_path):
    assert "no sentences" in complaint(lambda: read(tmp_path / "x", "# a\n\n# b\n"))
