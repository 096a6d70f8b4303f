"""Lines of hostile files."""

import gzip
import io
import tracemalloc

import pytest

from structkd_allennlp.serving import input_files
from structkd_allennlp.serving.input_files import InputError, InputFile, blocks, size_of


def write(path, content):
    path.write_bytes(content)
    return InputFile(str(path))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda x: gzip.compress(x[:5]) + gzip.compress(x[5:])]
)
def test_lines(tmp_path, pack):
    """Only LF ends one, with a CR before it or not; a byte order mark is no text."""
    content = "\ufeffa\r\n\nb\u2028c\u0085d\n\ufeffe".encode()
    lines = list(write(tmp_path / "x", pack(content)).lines())
    assert [tuple(line) for line in lines] == [
        (1, "a", None),
        (2, "", None),
        (3, "b\u2028c\u0085d", None),
        (4, "\ufeffe", None),
    ]


def test_bytes_that_are_no_text(tmp_path):
    first, bad, last = write(tmp_path / "x", b"a\nb\xffc\nd").lines()
    assert (first.text, last.text) == ("a", "d")
    assert bad.error.startswith("the byte 0xff, number 2 of the line, is not valid UTF-8")
    assert bad.text.encode("utf-8", "surrogateescape") == b"b\xffc"


@pytest.mark.parametrize("damage", [lambda x: x[:-12], lambda x: x[:40] + b"????" + x[44:]])
def test_damaged_gzip(tmp_path, damage):
    packed = gzip.compress(bytes(range(256)) * 100)
    with pytest.raises(InputError, match=r"x: (the gzip data is damaged|cannot be read)"):
        list(write(tmp_path / "x", damage(packed)).lines())


@pytest.mark.parametrize("name", ["missing", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read"):
        list(InputFile(str(tmp_path / name)).lines())


def test_a_line_without_end_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(input_files, "LONGEST_LINE", 10_000)
    file = write(tmp_path / "x", gzip.compress(b"a\n" + b"x" * 20_000_000 + b"\nb\n"))
    tracemalloc.start()
    first, long, last = file.lines()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert (first.number, long.number, last.number) == (1, 2, 3)
    assert "more than 10,000 bytes" in long.error
    assert last.text == "b"


def test_a_line_as_long_as_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(input_files, "LONGEST_LINE", 8)
    lines = list(write(tmp_path / "x", b"1234567\n12345678\n12345678").lines())
    assert [line.error is None for line in lines] == [True, False, False]
    assert [line.number for line in lines] == [1, 2, 3]


def test_standard_input(monkeypatch):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"a\nb"))))
    monkeypatch.setattr("sys.stdin", stdin)
    file = InputFile("-")
    assert [line.text for line in file.lines()] == ["a", "b"]
    assert file.name == "standard input"


def test_sizes(tmp_path):
    files = [write(tmp_path / "a", b"12345"), write(tmp_path / "b", b"123")]
    assert size_of(files) == 8
    assert size_of([*files, InputFile(str(tmp_path / "missing"))]) is None
    read = []
    list(files[0].lines(read.append))
    assert read[-1] == 5


def test_blocks(tmp_path):
    lines = write(tmp_path / "x", b"\n\na\nb\n \t\nc\n\n\n").lines()
    assert [[line.number for line in block] for block in blocks(lines, 9)] == [[3, 4], [6]]
