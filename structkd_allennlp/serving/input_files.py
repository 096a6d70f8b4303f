"""Lines of files of any size, packed or not, in constant memory."""

import gzip
import io
import os
import stat
import sys
import zlib
from contextlib import nullcontext
from typing import (
    BinaryIO,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    cast,
)

from structkd_allennlp.common.text import quoted
from structkd_allennlp.serving.file_systems import open_binary

STDIN = "-"

BYTE_ORDER_MARK = "\ufeff"

LONGEST_LINE = 16_000_000
"""In bytes. A longer line is read over, and can only be a bad one."""

_BLOCK = 1 << 20

GZIP = b"\x1f\x8b"


class InputError(ValueError):
    """Ends a job, or stands for a sentence that cannot be tagged."""


class Line(NamedTuple):
    """
    # Parameters

    number : `int`
        From 1.
    text : `str`
        Without its end. Bytes that are not UTF-8 are surrogate escapes.
    error : `str`, optional
        Why it is no text.
    """

    number: int
    text: str
    error: Optional[str] = None


class Source(Protocol):
    """Where lines come from."""

    name: str
    path: str

    def lines(self, progress: Callable[[int], None]) -> Iterator[Line]:
        """`progress` is told how many bytes have been read."""

    def place(self, line: int) -> str:
        """The name and the line, for people."""


class InputFile:
    """
    A file, or standard input where it is `-`. Gzip is recognised by how it begins.

    # Parameters

    path : `str`
        A URI needs pyarrow.
    name : `str`, optional (default = `path`)
        For people.
    start, end : `int`, optional
        Only the lines whose first byte is one of these, of a file that is not packed. They are
        counted from 1.

    # Raises

    `InputError` where it cannot be opened and, while it is read, where it is cut off or damaged.
    """

    def __init__(
        self, path: str, name: Optional[str] = None, start: int = 0, end: Optional[int] = None
    ) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else name or path
        self._start = start
        self._end = end

    def lines(self, progress: Callable[[int], None] = lambda done: None) -> Iterator[Line]:
        """`progress` is told how many bytes of the file, packed, have been read."""
        try:
            with self.open() as raw:
                packed = raw.peek(2)[:2] == GZIP
                stream: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
                yield from self._lines(stream, lambda: progress(_position(raw)))
        except OSError as error:
            # What a damaged gzip raises is one, too.
            raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        except (EOFError, zlib.error) as error:
            raise InputError(
                f"{self.name}: the gzip data is damaged or cut off ({error}). Pack it again"
            ) from error

    def open(self) -> ContextManager[io.BufferedReader]:
        if self.path == STDIN:
            return nullcontext(cast(io.BufferedReader, sys.stdin.buffer))
        return open_binary(self.path)

    def place(self, line: int) -> str:
        # The lines of other parts are only counted for those who have to be told.
        return f"{self.name}, line {self._lines_before() + line}"

    def _lines_before(self) -> int:
        if not self._start:
            return 0
        # That of the last byte before the start belongs to the part before, to its end.
        return _newlines(self, self._start - 1) + 1

    def _lines(self, stream: BinaryIO, report: Callable[[], None]) -> Iterator[Line]:
        number = 0
        position = self._start
        if self._start:
            stream.seek(self._start - 1)
            position += _read_over(stream) - 1
        while (self._end is None or position < self._end) and (
            line := stream.readline(LONGEST_LINE)
        ):
            number += 1
            position += len(line)
            if not number % 256:
                report()
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                position += _read_over(stream)
                text = line[:1000].decode("utf-8", "replace")
                yield Line(number, text, f"a line of more than {LONGEST_LINE:,} bytes. Split it")
                continue
            is_first = position == len(line)
            line = line.rstrip(b"\r\n")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                yield Line(
                    number,
                    line.decode("utf-8", "surrogateescape"),
                    f"the byte 0x{line[error.start]:02x}, number {error.start + 1} of the line, "
                    "is not valid UTF-8. Convert the text to UTF-8",
                )
                continue
            yield Line(number, text.removeprefix(BYTE_ORDER_MARK) if is_first else text)
        report()


def _read_over(stream: BinaryIO) -> int:
    """The rest of a line; how many bytes that was."""
    size = 0
    while rest := stream.readline(LONGEST_LINE):
        size += len(rest)
        if rest.endswith(b"\n"):
            break
    return size


_counted: Dict[str, Tuple[int, int]] = {}
"""Of each file: of how many bytes from its start the lines have been counted, and how many."""


def _newlines(file: InputFile, end: int) -> int:
    """Whoever reads the parts of a file one after the other counts its lines once."""
    position, count = _counted.get(file.path, (0, 0))
    if position > end:
        position = count = 0
    with file.open() as stream:
        stream.seek(position)
        while position < end and (block := stream.read(min(_BLOCK, end - position))):
            count += block.count(b"\n")
            position += len(block)
    _counted[file.path] = end, count
    return count


def size_of(files: Sequence[Source]) -> Optional[int]:
    """In bytes, as far as that is known beforehand."""
    total = 0
    for file in files:
        try:
            found = os.stat(sys.stdin.fileno() if file.path == STDIN else file.path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


def blocks(lines: Iterator[Line], most: int) -> Iterator[List[Line]]:
    """
    The runs of lines between blank ones; a line of spaces and tabs counts as blank. Of a run of
    more than `most` lines, only the first is there, with an error.
    """
    block: List[Line] = []
    length = 0
    for line in lines:
        if line.text.strip(" \t"):
            length += 1
            if length <= most:
                block.append(_without_controls(line))
            elif length == most + 1:
                error = (
                    f"a sentence of more than {most:,} lines starts here. Put blank lines between "
                    "sentences"
                )
                block = [block[0]._replace(error=error)]
        elif block:
            yield block
            block, length = [], 0
    if block:
        yield block


def _without_controls(line: Line) -> Line:
    """With an error where a character would be part of a word that nobody sees there."""
    if line.error is None and "\r" in line.text:
        error = (
            f"a carriage return inside the line {quoted(line.text)}. Convert the line ends to LF "
            "or CRLF"
        )
        return line._replace(error=error)
    if line.error is None and line.text.startswith(BYTE_ORDER_MARK):
        error = "a byte order mark (U+FEFF) inside the file. Remove it"
        return line._replace(error=error)
    return line


def _position(raw: BinaryIO) -> int:
    try:
        return raw.tell()
    except OSError:
        return 0
