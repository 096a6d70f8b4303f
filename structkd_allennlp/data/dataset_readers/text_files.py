"""Opens the text files of corpora and says what is wrong with one."""

import codecs
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, TextIO, Tuple

from allennlp.common.checks import ConfigurationError

NumberedLine = Tuple[int, str]


def input_error(
    path: str, problem: str, remedy: str, line: Optional[int] = None
) -> ConfigurationError:
    """The error for bad input: where it is, what is wrong and what to do about it."""
    place = path if line is None else f"{path}, line {line}"
    return ConfigurationError(f"{place}: {problem}. {remedy}.")


@contextmanager
def open_text(path: str, encoding: str) -> Iterator[TextIO]:
    """
    Opens a text file whose lines end in LF or CRLF; a byte order mark at its start is dropped.

    Raises `ConfigurationError` where the file cannot be opened and, as long as it is open, where
    its bytes are not valid in `encoding`.
    """
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"
    try:
        # Python's other line ends, such as U+2028, may be part of a token.
        with open(path, encoding=encoding, newline="\n") as file:
            yield file
    except UnicodeError as error:
        raise _encoding_error(path, encoding) from error
    except OSError as error:
        raise input_error(
            path, f"cannot be read ({error.strerror})", "Name a readable file"
        ) from error


def _encoding_error(path: str, encoding: str) -> ConfigurationError:
    data = Path(path).read_bytes()
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    try:
        data.decode(encoding)
        start, bad = 0, ""
    except UnicodeDecodeError as error:
        start, bad = error.start, f" 0x{data[error.start]:02x}"
    line = data.count(b"\n", 0, start) + 1
    # Any bytes are valid ISO-8859-1, so it is the last resort.
    suggested = "iso-8859-1"
    for candidate in ("utf-8", "utf-16"):
        marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if candidate != encoding and (candidate != "utf-16" or marked):
            try:
                data.decode(candidate)
            except UnicodeDecodeError:
                continue
            suggested = candidate
            break
    readable = data.decode(suggested).split("\n")[line - 1 : line]
    return input_error(
        path,
        f"the byte{bad} at offset {start} is not valid {encoding}",
        f'Set "encoding": "{suggested}" in the dataset reader (the line would then read '
        f"{''.join(readable).strip()[:60]!r}), or convert the file to {encoding}",
        line=line,
    )


def blocks(lines: Iterable[str]) -> Iterator[List[NumberedLine]]:
    """
    The runs of lines between blank ones, without line ends, each line with its number from 1.
    A line of spaces and tabs counts as blank.
    """
    block: List[NumberedLine] = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block
