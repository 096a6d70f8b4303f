"""Opens the text files of corpora and says what is wrong with one."""

import codecs
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, TextIO, Tuple

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.text import quoted

NumberedLine = Tuple[int, str]


def input_error(
    path: str, problem: str, remedy: str, line: Optional[int] = None
) -> ConfigurationError:
    """The error for bad input: where it is, what is wrong and what to do about it."""
    place = path if line is None else f"{path}, line {line}"
    return ConfigurationError(f"{place}: {problem}. {remedy}.")


LONGEST_TEXT = 10_000_000
"""In characters. A longer line, or text in XML, is no sentence, and would take minutes to split."""

# How files begin that a text file may be packed in. `BZh` alone could be a word.
_PACKED = {
    rb"\x1f\x8b": "gzip",
    rb"BZh[1-9]1AY": "bzip2",
    rb"\xfd7zXZ": "xz",
    rb"PK\x03\x04": "zip",
    rb"\x28\xb5\x2f\xfd": "zstandard",
}


@contextmanager
def open_text(path: str, encoding: str) -> Iterator[TextIO]:
    """
    Opens a text file; a byte order mark at its start is dropped.

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


def too_long(path: str, text: str, line: Optional[int] = None) -> ConfigurationError:
    """The error for a text of more than `LONGEST_TEXT` characters; `text` is how it begins."""
    return input_error(
        path,
        f"a text of more than {LONGEST_TEXT:,} characters, which starts with {quoted(text[:60])}",
        "Split it into sentences",
        line=line,
    )


def check_is_text_file(path: str, language: Optional[str] = None) -> None:
    """Raises `ConfigurationError` for a path that is not that of a regular, unpacked file."""
    if not os.path.exists(path) or os.path.isdir(path):
        problem = "is a directory" if os.path.isdir(path) else "no such file"
        of_language = f" for the language {quoted(language)}" if language else ""
        raise input_error(path, problem + of_language, "Correct the path in the configuration")
    if not os.path.isfile(path):
        raise input_error(
            path,
            "is not a regular file, and a corpus is read more than once",
            "Write what comes out of it to a file, and name that",
        )
    with suppress(OSError), open(path, "rb") as file:
        start = file.read(8)
        for beginning, name in _PACKED.items():
            if re.match(beginning, start):
                raise input_error(path, f"is packed ({name})", "Unpack it, and name what was in it")


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
        f"{quoted(''.join(readable).strip(), 60)}), or convert the file to {encoding}",
        line=line,
    )


def numbered_lines(file: TextIO, path: str) -> Iterator[NumberedLine]:
    """
    The lines of a file, which end in LF or CRLF, without their ends and with their numbers from 1.

    Raises `ConfigurationError` for line ends of CR alone, which would make one line of many, for
    the byte order mark of a file that was appended to another, which would be part of a word, and
    for a line of more than `LONGEST_TEXT` characters.
    """
    # Never more of a line in memory than that.
    pieces = iter(lambda: file.readline(LONGEST_TEXT + 1), "")
    for number, line in enumerate(pieces, start=1):
        if len(line) > LONGEST_TEXT:
            raise too_long(path, line, number)
        line = line.rstrip("\r\n")
        if "\r" in line:
            raise input_error(
                path,
                f"a carriage return inside the line {quoted(line)}",
                "Convert the line ends of the file to LF or CRLF",
                line=number,
            )
        if line.startswith("\ufeff"):
            raise input_error(
                path,
                "a byte order mark (U+FEFF) inside the file",
                "Remove it: it is left over from a file that was appended to another",
                line=number,
            )
        yield number, line


def blocks(lines: Iterable[NumberedLine], path: str, most: int) -> Iterator[List[NumberedLine]]:
    """
    The runs of lines between blank ones. A line of spaces and tabs counts as blank.

    Raises `ConfigurationError` for a run of more than `most` lines.
    """
    block: List[NumberedLine] = []
    for number, line in lines:
        if line.strip(" \t"):
            block.append((number, line))
            if len(block) > most:
                raise input_error(
                    path,
                    f"a sentence of more than {most:,} lines, which starts here",
                    'Put blank lines between sentences, or raise "max_sentence_length" in the '
                    "dataset reader",
                    line=block[0][0],
                )
        elif block:
            yield block
            block = []
    if block:
        yield block
