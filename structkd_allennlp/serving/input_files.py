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
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    cast,
)

from structkd_allennlp.common.text import quoted

STDIN = "-"

BYTE_ORDER_MARK = "\ufeff"

LONGEST_LINE = 16_000_000
"""In bytes. A longer line is read over, and can only be a bad one."""

_GZIP = b"\x1f\x8b"


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


class InputFile:
    """
    A file, or standard input where it is `-`. Gzip is recognised by how it begins.

    # Raises

    `InputError` where it cannot be opened and, while it is read, where it is cut off or damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else path

    def lines(self, progress: Callable[[int], None] = lambda done: None) -> Iterator[Line]:
        """`progress` is told how many bytes of the file, packed, have been read."""
        try:
            with self._open() as raw:
                packed = raw.peek(2)[:2] == _GZIP
                stream: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
                yield from self._lines(stream, lambda: progress(_position(raw)))
        except OSError as error:
            # What a damaged gzip raises is one, too.
            raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        except (EOFError, zlib.error) as error:
            raise InputError(
                f"{self.name}: the gzip data is damaged or cut off ({error}). Pack it again"
            ) from error

    def _open(self) -> ContextManager[io.BufferedReader]:
        if self.path == STDIN:
            return nullcontext(cast(io.BufferedReader, sys.stdin.buffer))
        return open(self.path, "rb")

    @staticmethod
    def _lines(stream: BinaryIO, report: Callable[[], None]) -> Iterator[Line]:
        number = 0
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if not number % 256:
                report()
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                text = line[:1000].decode("utf-8", "replace")
                yield Line(number, text, f"a line of more than {LONGEST_LINE:,} bytes. Split it")
                continue
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
            yield Line(number, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text)
        report()


def size_of(files: Sequence[InputFile]) -> Optional[int]:
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
