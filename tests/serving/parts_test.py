"""However files are cut into parts, nothing is lost, nothing comes twice, and the order stays."""

import gzip
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.serving import input_files
from structkd_allennlp.serving.input_files import InputError, InputFile
from structkd_allennlp.serving.parts import plan, stamps_of

CONTENT = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc d", "é".encode(), "漢字".encode(), b"\xff"])
    | st.just("\ufeff".encode()),
    max_size=60,
).map(b"".join)


def planned(paths, forms, most):
    names = [str(path) for path in paths]
    return plan(names, stamps_of(names, forms), most)


def lines_of(part):
    return [
        (source.place(line.number), line.text, line.error)
        for source in (piece.source() for piece in part)
        for line in source.lines()
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@settings(max_examples=150, deadline=None)
@given(st.lists(CONTENT, min_size=1, max_size=4), st.integers(1, 40), st.integers(2, 9))
def test_lines_are_those_of_the_files(directory, contents, most, longest):
    """With their places, whatever they end in, where the cut falls, and how long they are."""
    paths = [directory / f"{i}.txt" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_files, "LONGEST_LINE", longest)
        patch.setattr(input_files, "_counted", {})
        parts = planned(paths, ["text"] * len(paths), most)
        whole = [
            (f"{path}, line {line.number}", line.text, line.error)
            for path in paths
            for line in InputFile(str(path)).lines()
        ]
        assert [line for part in parts for line in lines_of(part)] == whole
        # Nor does it matter which of them a process gets, and when.
        backwards = [lines_of(part) for part in reversed(parts)]
        assert [line for part in reversed(backwards) for line in part] == whole
    assert all(sum(piece.size for piece in part) <= most for part in parts)
    # Nor are there more parts than have to be.
    for part, following in pairwise(parts):
        assert sum(piece.size for piece in part) + following[0].size > most


def test_what_cannot_be_cut_stays_whole(directory):
    packed, columns, text = (directory / name for name in ("a.gz", "b.conll", "c.txt"))
    packed.write_bytes(gzip.compress(b"a\n" * 1000))
    columns.write_text("a O\n\n" * 10)
    text.write_text("a\n" * 10)
    parts = planned([packed, columns, text], ["text", "conll", "text"], 8)
    assert [[piece.end for piece in part] for part in parts] == [[None], [None], [8], [16], [20]]
    assert len(lines_of(parts[0])) == 1000


def test_small_files_go_together(directory):
    paths = [directory / f"{i}.txt" for i in range(10)]
    for path in paths:
        path.write_text("abc\n")
    parts = planned(paths, ["text"] * 10, 12)
    assert [len(part) for part in parts] == [3, 3, 3, 1]


def test_lines_before_a_part_are_counted_once(directory, monkeypatch):
    path = directory / "a.txt"
    path.write_text("a\n" * 1000)
    read = 0

    class Counting(InputFile):
        def open(self):
            nonlocal read
            read += 1
            return super().open()

    monkeypatch.setattr(input_files, "_counted", {})
    for start in range(100, 2000, 100):
        piece = Counting(str(path), start=start, end=start + 100)
        assert piece.place(1) == f"{path}, line {start // 2 + 1}"
    assert input_files._counted[str(path)] == (1899, 949)
    assert read == 19


def test_a_file_that_is_not_the_same_elsewhere(directory):
    path = directory / "a.txt"
    path.write_text("a\nb\n")
    ((piece,),) = planned([path], ["text"], 100)
    path.write_text("a\nb\nc\n")
    with pytest.raises(InputError, match="has 6 bytes here, and 4 where the command"):
        piece.source()
    path.unlink()
    with pytest.raises(InputError, match="on a path that all nodes see"):
        piece.source()
    with pytest.raises(InputError, match="cannot be read"):
        planned([path], ["text"], 100)


def test_it_needs_no_more_than_it_must():
    """Neither PyTorch nor AllenNLP ever, nor Ray and pyarrow before they are used."""
    modules = "structkd_allennlp.serving.cluster_tag, structkd_allennlp.serving.part_tagger, sys"
    names = "{'torch', 'allennlp', 'transformers', 'spacy', 'ray', 'pyarrow', 'pandas'}"
    program = f"import {modules}; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize("path", ["a.parquet", "s3://bucket/a.txt"])
def test_without_pyarrow(directory, path, monkeypatch):
    for name in ("fs", "parquet"):
        monkeypatch.setitem(sys.modules, f"pyarrow.{name}", None)
    (directory / "a.parquet").write_bytes(b"PAR1")
    path = path if ":" in path else str(directory / path)
    with pytest.raises(ValueError, match=r"need pyarrow: pip .* -r requirements-cluster\.txt"):
        planned([path], ["parquet"], 100)
