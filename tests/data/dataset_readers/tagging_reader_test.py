"""What all readers have in common, seen through the one of columns."""

import bz2
import gzip
import lzma
import os
from pathlib import Path
from typing import Any, List, Optional

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.dataset_readers.dataset_reader import WorkerInfo
from allennlp.data.token_indexers import SingleIdTokenIndexer, TokenCharactersIndexer

from structkd_allennlp.data import ConllReader, TaggingReader, TagSequenceField
from structkd_allennlp.data.corpus_paths import fold_of
from tests.data import FIXTURES, complaint

ENGLISH = FIXTURES / "conll" / "en" / "train.txt"


def numbered(path: Path, n: int) -> Path:
    path.write_text("".join(f"w{i} O\n\n" for i in range(n)), encoding="utf-8")
    return path


def words(reader: TaggingReader, path: object) -> List[Any]:
    return [token.text for s in reader.sentences(str(path)) for token in s.tokens]


def test_instances():
    reader = ConllReader(language="en", label_encoding="BIOUL", label_namespace="ner_tags")
    instance, *others = reader.read(ENGLISH)
    assert len(others) == 44
    metadata = instance["metadata"].metadata
    tags = instance["tags"]
    assert isinstance(tags, TagSequenceField)
    assert metadata["words"] == [token.text for token in instance["tokens"].tokens]
    assert metadata["tags"] == tags.labels
    assert metadata["language"] == "en"
    vocab = Vocabulary.from_instances([instance, *others])
    assert {"B-PER", "L-PER", "U-LOC", "O"} <= set(vocab.get_token_to_index_vocabulary("ner_tags"))
    instance.index_fields(vocab)
    assert instance.as_tensor_dict()["tags"].shape == (len(metadata["words"]),)


def test_text_to_instance():
    reader = ConllReader(language="en")
    instance = reader.text_to_instance(["a", Token("b")], ["O", "B-X"], language="pt")
    metadata = {"words": ["a", "b"], "language": "pt", "tags": ["O", "B-X"]}
    assert instance["metadata"].metadata == metadata
    assert instance["tokens"]._token_indexers is None
    untagged = reader.text_to_instance(["a"])
    assert set(untagged.fields) == {"tokens", "metadata"}
    assert untagged["metadata"].metadata == {"words": ["a"], "language": "en"}
    with pytest.raises(ConfigurationError, match="without tokens"):
        reader.text_to_instance([])
    with pytest.raises(ConfigurationError, match="2 and 1"):
        reader.text_to_instance(["a"], ["O", "O"])


def test_tokenize_takes_the_configured_tokenizer_or_that_of_the_language():
    text = "He's l'amico"

    def split(language: Optional[str] = None, **params: Any) -> List[Any]:
        return [token.text for token in ConllReader(**params).tokenize(text, language)]

    assert split() == ["He", "'s", "l'amico"]
    assert split("it") == split(language="it") == ["He", "'s", "l'", "amico"]
    reader = DatasetReader.from_params(
        Params({"type": "structkd_conll", "tokenizer": "whitespace", "language": "it"})
    )
    assert isinstance(reader, TaggingReader)
    assert [t.text for t in reader.tokenize(text)] == ["He's", "l'amico"]


@pytest.mark.parametrize("n", [2, 3, 10])
def test_parts_of_a_file_are_disjoint_and_whole(tmp_path, n):
    path = numbered(tmp_path / "x", 200)
    whole = [f"w{i}" for i in range(200)]
    reader = ConllReader()
    folds = [words(reader, f"{path}#fold={i}of{n}") for i in range(1, n + 1)]
    assert sorted(word for fold in folds for word in fold) == sorted(whole)
    for i, fold in enumerate(folds, start=1):
        assert words(reader, f"{path}#not-fold={i}of{n}") == [w for w in whole if w not in fold]
        assert all(fold_of([word], n) == i for word in fold)
        # About the same size, in the order of the file.
        assert abs(len(fold) - 200 / n) < 30
        assert fold == [w for w in whole if w in fold]
    assert len(list(reader.read(f"{path}#fold=1of{n}"))) == len(folds[0])


def test_a_sentence_that_recurs_is_in_one_part(tmp_path):
    path = tmp_path / "x"
    path.write_text("a X\nb X\n\n" * 7 + "c X\n\n" * 5, encoding="utf-8")
    for i in (1, 2, 3):
        part = f"{path}#fold={i}of3"
        expected = ["a", "b"] * 7 * (fold_of(["a", "b"], 3) == i) + ["c"] * 5 * (
            fold_of(["c"], 3) == i
        )
        if expected:
            assert words(ConllReader(label_encoding=None), part) == expected


@pytest.mark.parametrize(
    ("suffix", "selects"),
    [
        ("#not-fold=1of10#fold=2of5", lambda a, b: a != 1 and b == 2),
        ("#fold=2of5#not-fold=1of10", lambda a, b: a != 1 and b == 2),
        ("#not-fold=1of10#not-fold=2of5", lambda a, b: a != 1 and b != 2),
        ("#fold=7of10#not-fold=3of10#not-fold=1of5", lambda a, b: a == 7 and b != 1),
    ],
)
def test_several_parts_are_what_is_in_all_of_them(tmp_path, suffix, selects):
    path = numbered(tmp_path / "x", 200)
    expected = [
        word
        for word in (f"w{i}" for i in range(200))
        if selects(fold_of([word], 10), fold_of([word], 5))
    ]
    assert expected
    assert words(ConllReader(), f"{path}{suffix}") == expected


def test_a_malformed_part(tmp_path):
    path = f"{numbered(tmp_path / 'x', 4)}#fold=3of2"
    message = complaint(lambda: ConllReader().sentences(path))
    assert message.startswith(f"{path}: '#fold=3of2' is not a part of a file")


def test_parts_that_have_nothing_in_common(tmp_path):
    path = f"{numbered(tmp_path / 'x', 20)}#fold=1of2#not-fold=1of2"
    message = complaint(lambda: ConllReader().sentences(path))
    assert message.startswith(f"{path}: only 20 sentences, none in this part")


def test_a_part_without_sentences(tmp_path):
    path = numbered(tmp_path / "x", 4)
    empty = ({1, 2, 3, 4, 5} - {fold_of([f"w{i}"], 5) for i in range(4)}).pop()
    path = f"{path}#fold={empty}of5"
    message = complaint(lambda: ConllReader().sentences(path))
    assert message.startswith(f"{path}: only 4 sentences, none in this part")


def test_files_that_are_none(tmp_path):
    reader = ConllReader()
    missing = str(tmp_path / "none.txt")
    assert f"{missing}: no such file" in complaint(lambda: reader.read(missing))
    assert f"{missing}: no such file" in complaint(lambda: reader.read(missing + "#fold=1of2"))
    assert "no such file for the language 'pt'" in complaint(
        lambda: reader.sentences(missing, "pt")
    )
    assert f"{tmp_path}: is a directory" in complaint(lambda: reader.read(str(tmp_path)))


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n\r\n", "\ufeff", "-DOCSTART- -X- O\n\n"])
def test_files_without_sentences(tmp_path, text):
    path = tmp_path / "x"
    path.write_bytes(text.encode())
    assert f"{path}: no sentences" in complaint(lambda: ConllReader().read(str(path)))


@pytest.mark.parametrize(
    ("data", "encoding", "place", "remedy"),
    [
        ("a O\n\nRío I-LOC\n".encode("iso-8859-1"), "utf-8", "2, 0xed, 6", "iso-8859-1"),
        ("a O\n\nRío I-LOC\n".encode(), "ascii", "2, 0xc3, 6", "utf-8"),
        ("a O\n\nRío I-LOC\n".encode("utf-16"), "utf-8", "0, 0xff, 0", "utf-16"),
        (b"a O\n\n" * 30000 + b"R\xedo O\n", "utf-8", "60000, 0xed, 150001", "iso-8859-1"),
    ],
)
def test_broken_encodings_name_the_place_and_one_that_works(
    tmp_path, data, encoding, place, remedy
):
    path = tmp_path / "x"
    path.write_bytes(data)
    blank_lines, byte, offset = place.split(", ")
    message = complaint(lambda: ConllReader(encoding=encoding).sentences(path))
    assert message.startswith(
        f"{path}, line {int(blank_lines) + 1}: the byte {byte} at offset {offset} "
        f"is not valid {encoding}"
    )
    assert f'Set "encoding": "{remedy}"' in message
    assert "Río" in message or remedy == "utf-16"
    assert "Río" in words(ConllReader(encoding=remedy), path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_and_line_ends(tmp_path, mark, end):
    path = tmp_path / "x"
    path.write_bytes(f"{mark}a O{end}b B-X{end}{end}c O".encode())
    assert words(ConllReader(), path) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ({"label_encoding": "IOB1"}, "'IOB1'"),
        ({"label_encoding": "bio"}, "'bio'"),
        ({"encoding": "utf-9"}, "'utf-9'"),
        ({"encoding": "base64"}, "'base64'"),
        ({"input_encoding": "BIOES"}, "'BIOES'"),
    ],
)
def test_bad_parameters(params, value):
    with pytest.raises(ConfigurationError, match=value):
        DatasetReader.from_params(Params({"type": "structkd_conll", **params}))


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("max_instances", [None, 1, 5, 100])
def test_workers_share_the_sentences(tmp_path, n, max_instances):
    path = numbered(tmp_path / "x", 10)
    seen = []
    for worker in range(n):
        reader = ConllReader(max_instances=max_instances)
        reader._set_worker_info(WorkerInfo(n, worker))
        instances = list(reader.read(path))
        assert all(i["tokens"]._token_indexers is None for i in instances)
        seen += [i["metadata"]["words"][0] for i in instances]
    expected = 10 if max_instances is None else min(10, max_instances)
    assert len(seen) == len(set(seen)) == expected


def test_processes_of_a_distributed_run_share_the_sentences(tmp_path, monkeypatch):
    path = numbered(tmp_path / "x", 10)
    seen = []
    monkeypatch.setattr("allennlp.common.util.is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        for worker in range(2):
            reader = ConllReader()
            reader._set_worker_info(WorkerInfo(2, worker))
            seen += [i["metadata"]["words"][0] for i in reader.read(path)]
    assert sorted(seen) == sorted(f"w{i}" for i in range(10))


def test_data_loader_with_workers():
    reader = DatasetReader.from_params(
        Params(
            {
                "type": "structkd_conll",
                "language": "en",
                "token_indexers": {
                    "tokens": "single_id",
                    "characters": {"type": "characters", "min_padding_length": 3},
                },
            }
        )
    )
    assert isinstance(reader, ConllReader)
    assert isinstance(reader.token_indexers["tokens"], SingleIdTokenIndexer)
    assert isinstance(reader.token_indexers["characters"], TokenCharactersIndexer)
    loader = MultiProcessDataLoader(reader, str(ENGLISH), batch_size=4, num_workers=2)
    loader.index_with(Vocabulary.from_instances(loader.iter_instances()))
    expected = [[t.text for t in s.tokens] for s in reader.sentences(ENGLISH)]
    for _ in range(2):
        read = [m["words"] for batch in loader for m in batch["metadata"]]
        assert sorted(read) == sorted(expected)


def test_lines_that_end_in_carriage_returns_alone(tmp_path):
    (tmp_path / "x").write_bytes(b"a O\n\nb O\rc O\r\rd O\r")
    message = complaint(lambda: ConllReader().sentences(tmp_path / "x"))
    assert message.startswith(f"{tmp_path / 'x'}, line 3: a carriage return inside the line 'b O")
    assert "LF or CRLF" in message


def test_a_byte_order_mark_inside_a_file(tmp_path):
    """As `cat a b > c` leaves it."""
    (tmp_path / "x").write_bytes("\ufeffa O\n\n\ufeffb O\n".encode())
    message = complaint(lambda: ConllReader().sentences(tmp_path / "x"))
    assert message.startswith(f"{tmp_path / 'x'}, line 3: a byte order mark (U+FEFF)")


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("bzip2", bz2.compress),
        ("xz", lzma.compress),
        ("zip", lambda data: b"PK\x03\x04" + data),
    ],
)
def test_packed_files(tmp_path, name, pack):
    (tmp_path / "x").write_bytes(pack(b"a O\n"))
    # In an encoding in which any bytes are text.
    for encoding in ("utf-8", "iso-8859-1"):
        message = complaint(lambda own=encoding: ConllReader(encoding=own).read(tmp_path / "x"))
        assert (
            message == f"{tmp_path / 'x'}: is packed ({name}). Unpack it, and name what was in it."
        )
    (tmp_path / "x").write_text("BZh9 O\n")
    assert words(ConllReader(), tmp_path / "x") == ["BZh9"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    message = complaint(lambda: ConllReader().read(tmp_path / "x"))
    assert message.startswith(f"{tmp_path / 'x'}: is not a regular file")


def test_long_sentences(tmp_path):
    path = tmp_path / "x"
    path.write_text("a O\n\n" + "b O\n" * 10 + "\n")
    assert len(words(ConllReader(max_sentence_length=10), path)) == 11
    message = complaint(lambda: ConllReader(max_sentence_length=9).sentences(path))
    assert message.startswith(f"{path}, line 3: a sentence of more than 9 lines")
    assert '"max_sentence_length"' in message
    # One of 200,000 words is none too many, and a file without blank lines is one sentence.
    path.write_text("b O\n" * 200_000)
    assert len(words(ConllReader(), path)) == 200_000
    path.write_text("b O\n" * 250_001)
    assert "a sentence of more than 250,000 lines" in complaint(lambda: words(ConllReader(), path))


@pytest.mark.parametrize("reader", ["structkd_conll", "unlabelled_text", "wikiann"])
def test_a_long_line_is_refused_quickly_and_not_repeated(tmp_path, reader):
    path = tmp_path / "x"
    path.write_text("a\tO\n\n" + "b " * 20_000_000)
    reader = DatasetReader.from_params(Params({"type": reader}))
    message = complaint(lambda: list(reader.sentences(path))[2:])
    assert message.startswith(f"{path}, line ")
    assert len(message) < 400 + len(str(path))


@pytest.mark.parametrize("type_", ["structkd_conll", "multilingual"])
@pytest.mark.parametrize("most", [0, -1])
def test_reading_nothing(type_, most):
    params = {"type": type_, "max_instances": most}
    if type_ == "multilingual":
        params["reader"] = "structkd_conll"
    with pytest.raises(ConfigurationError, match=f'"max_instances" .* is {most}, .* 1 or more'):
        DatasetReader.from_params(Params(params))


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        ("structkd_conll", "a O\n{long} x O\n"),
        ("structkd_conll", "a O\n{long} O-X\n"),
        ("structkd_conll", "a O\nx {long}\n"),
        ("structkd_conll", "a O\nx I-{long}\nx L-{long}\n"),
        ("structkd_conll", "a {long}\rx O"),
        ("structkd_conll", "a O\n\n\ufeff{long}"),
        ("wikiann", "{long}"),
        ("wikiann", "en:a\tO\n{long}:b\tO\n"),
        ("wikiann", "en:a\t{long}\n"),
        ("universal_dependencies_pos", "{long}"),
        ("universal_dependencies_pos", "{long}\ta\t_\tX\t_\t_\t_\t_\t_\t_"),
        ("universal_dependencies_pos", "1\t{long}\t_\t_\t_\t_\t_\t_\t_\t_"),
        ("universal_dependencies_pos", "2\t{long}\t_\tX\t_\t_\t_\t_\t_\t_"),
        ("universal_dependencies_pos", "{digits}\ta\t_\tX\t_\t_\t_\t_\t_\t_"),
        ("universal_dependencies_pos", "1-{digits}\ta\t_\tX\t_\t_\t_\t_\t_\t_"),
        ("universal_dependencies_pos", "1.{digits}\ta\t_\tX\t_\t_\t_\t_\t_\t_"),
        ("semeval_aspect", "{long}"),
        ("semeval_aspect", "<{long}>"),
        ("semeval_aspect", '<!DOCTYPE a [<!ENTITY b "{long}">]><a/>'),
        (
            "semeval_aspect",
            '<sentence id="{long}"><text>a</text><Opinion target="{long}" to="{long}"/></sentence>',
        ),
        (
            "semeval_aspect",
            '<sentence><text>a</text><Opinion target="a" from="0" to="{digits}"/></sentence>',
        ),
    ],
)
def test_messages_quote_no_more_than_a_hundred_characters(tmp_path, reader, data):
    path = tmp_path / "x"
    path.write_bytes(data.format(long="x" * 5_000, digits="9" * 5_000).encode())
    reader = DatasetReader.from_params(Params({"type": reader}))
    message = complaint(lambda: reader.sentences(path))
    assert message.startswith(str(path))
    assert "x" * 101 not in message
    assert "9" * 101 not in message


def test_reading_is_lazy(tmp_path):
    path = numbered(tmp_path / "x", 100_000)
    with path.open("a") as file:
        file.write("one-column\n")
    assert len(list(ConllReader(max_instances=3).read(path))) == 3
