"""The formats that sentences come in and go out in, tagged."""

import io
import json
import re
from itertools import dropwhile
from typing import Iterator, List, NamedTuple, Optional, Protocol, Sequence, Tuple

import orjson
from rich.console import Console

from structkd_allennlp.common.requests import Request, RequestError, parse_line
from structkd_allennlp.common.text import quoted
from structkd_allennlp.serving.input_files import InputError, Line, blocks
from structkd_allennlp.serving.tagger import Result
from structkd_allennlp.serving.terminal import print_sentence

MOST_LINES = 250_000
"""Of a sentence in columns."""

CONLL = "conll"
CONLLU = "conllu"

_DOCUMENT_MARK = "-DOCSTART-"
_UNIVERSAL = 10
_ID = re.compile(r"(?P<word>[0-9]{1,9})|[0-9]+-[0-9]+|[0-9]+\.[0-9]+")


class Record(NamedTuple):
    """
    What stands for one sentence in a file, or for none, such as a comment.

    # Parameters

    line : `int`
        Number of its first line.
    lines : `Sequence[str]`
        As they came, with the blank one that ends a sentence in columns.
    request : `Request`, optional
        What to tag.
    columns : `str`, optional
        The format of the lines, where that has columns.
    rows : `Sequence[int]`
        Which of the lines are its words.
    error : `str`, optional
        Why it cannot be tagged.
    error_line : `int`, optional
        Where the error is.
    """

    line: int
    lines: Sequence[str]
    request: Optional[Request] = None
    columns: Optional[str] = None
    rows: Sequence[int] = ()
    error: Optional[str] = None
    error_line: Optional[int] = None


class Reader(Protocol):
    def read(self, lines: Iterator[Line]) -> Iterator[Record]:
        """The records of a file. Bad ones have an error, and reading goes on after them."""


class Writer(Protocol):
    """Is sent to other processes."""

    def write(self, record: Record, result: Optional[Result]) -> bytes:
        """
        A record tagged, in UTF-8; without a result, of what holds no sentence. Raises `InputError`
        for what the format cannot hold.
        """

    def write_error(self, message: str) -> bytes:
        """What stands in the place of a record that cannot be tagged."""


class Text:
    """A sentence a line, as it stands."""

    def read(self, lines: Iterator[Line]) -> Iterator[Record]:
        for number, text, error in lines:
            if text and not text.isspace():
                request = None if error else Request(text, None)
                yield Record(number, [text], request, error=error)


class JsonLines:
    """What the predictor `structured_tagger` reads, plain text included, and writes."""

    def read(self, lines: Iterator[Line]) -> Iterator[Record]:
        for number, text, error in lines:
            if not text or text.isspace():
                continue
            request = None
            if error is None:
                try:
                    request = parse_line(text)
                except RequestError as problem:
                    error = str(problem)
            yield Record(number, [text], request, error=error)

    def write(self, record: Record, result: Optional[Result]) -> bytes:
        return b"" if result is None else orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE)

    def write_error(self, message: str) -> bytes:
        return _utf_8(json.dumps({"error": message}, ensure_ascii=False) + "\n")


class Conll:
    """
    A word a line, in columns separated by spaces or tabs, with a blank line between sentences, as
    the reader `structkd_conll` has it; but no line needs a tag. What is not a tag stays as it is.

    # Parameters

    token_column : `int`, optional (default = `0`)
        Negative numbers count from the last column.
    tag_column : `int`, optional (default = `-1`)
        Where tags go, in place of what is there. One more than there are adds a column, as does the
        default where there is only one.
    comment : `str`, optional (default = `None`)
        Lines ahead of the first word of a sentence are comments if they start with this.
    """

    def __init__(
        self, token_column: int = 0, tag_column: int = -1, comment: Optional[str] = None
    ) -> None:
        self.token_column = token_column
        self.tag_column = tag_column
        self.comment = comment

    def read(self, lines: Iterator[Line]) -> Iterator[Record]:
        first: Optional[Line] = None
        for block in blocks(_apart(lines), MOST_LINES):
            texts = [text for _, text, _ in block] + [""]
            words = list(dropwhile(self._is_comment, block))
            skipped = len(block) - len(words)
            error = _first_error(block)
            if error is None and words:
                first = first or words[0]
                error = self._error(words, first)
            if error is not None:
                yield Record(block[0].number, texts, error=error.error, error_line=error.number)
            elif not words:
                yield Record(block[0].number, texts, None, CONLL)
            else:
                column = [_columns(text)[self.token_column] for text in texts[skipped:-1]]
                rows = range(skipped, len(block))
                yield Record(block[0].number, texts, Request(column, None), CONLL, rows)

    def _is_comment(self, line: Line) -> bool:
        if line.text.strip(" \t").startswith(_DOCUMENT_MARK):
            return True
        return self.comment is not None and line.text.startswith(self.comment)

    def _error(self, words: Sequence[Line], first: Line) -> Optional[Line]:
        expected = len(_columns(first.text))
        for line in words:
            found = len(_columns(line.text))
            if found != expected:
                problem = (
                    f"{found} column{'s' * (found != 1)} ({quoted(line.text)}), but line "
                    f"{first.number} has {expected}. Separate columns by spaces or tabs, and "
                    "sentences by a blank line"
                )
                if self.comment is None and words[0].text.startswith("#"):
                    problem += ", or say --comment '#' if these are comments"
                return line._replace(error=problem)
        for name, column, most in (
            ("--token-column", self.token_column, expected),
            ("--tag-column", self.tag_column, expected + 1),
        ):
            if not -expected <= column < most:
                problem = f"{name} is {column}, but there are {expected} columns, counted from 0"
                return first._replace(error=problem)
        return None

    def write(self, record: Record, result: Optional[Result]) -> bytes:
        words, tags = _words_and_tags(result)
        if record.columns == CONLL:
            lines = list(record.lines)
            for row, tag in zip(record.rows, tags, strict=True):
                lines[row] = self._filled(lines[row], _cell(tag))
        else:
            pairs = zip(words, tags, strict=True)
            lines = [f"{_cell(word)}\t{_cell(tag)}" for word, tag in pairs]
            lines += [""] * (result is not None)
        return _utf_8("".join(f"{line}\n" for line in lines))

    def _filled(self, line: str, tag: str) -> str:
        # Columns at even places, what separates them at odd ones.
        cells = re.split("([ \t]+)", line.strip(" \t"))
        columns = len(cells) // 2 + 1
        column = self.tag_column
        if column == columns or (column == -1 and columns == 1):
            return "".join([*cells, cells[-2] if columns > 1 else "\t", tag])
        cells[2 * (column % columns)] = tag
        return "".join(cells)

    def write_error(self, message: str) -> bytes:
        return _utf_8(f"{self.comment or '#'} error = {_one_line(message)}\n\n")


class Conllu:
    """
    CoNLL-U. Comments, multiword ranges and empty nodes stay as they are.

    # Parameters

    tag_column : `int`, optional (default = `3`)
        Where tags go, in place of what is there: by default UPOS.
    """

    def __init__(self, tag_column: int = 3) -> None:
        if not 2 <= tag_column < _UNIVERSAL:
            raise InputError(
                f"--tag-column is {tag_column}: in CoNLL-U tags go into 3 (UPOS), 4 (XPOS) or "
                "another column from 2 to 9"
            )
        self.tag_column = tag_column

    def read(self, lines: Iterator[Line]) -> Iterator[Record]:
        # Comments and multiword ranges have lines, too.
        for block in blocks(lines, 3 * MOST_LINES):
            texts = [text for _, text, _ in block] + [""]
            words: List[str] = []
            rows: List[int] = []
            error = _first_error(block)
            for i, line in enumerate(block):
                if error is not None:
                    break
                if not line.text.startswith("#"):
                    columns = line.text.split("\t")
                    problem = self._problem(columns, line.text, len(words) + 1)
                    if problem is not None:
                        error = line._replace(error=problem)
                    elif columns[0].isdigit():
                        words.append(columns[1])
                        rows.append(i)
            if error is not None:
                yield Record(block[0].number, texts, error=error.error, error_line=error.number)
            else:
                request = Request(words, None) if words else None
                yield Record(block[0].number, texts, request, CONLLU, rows)

    @staticmethod
    def _problem(columns: Sequence[str], line: str, number: int) -> Optional[str]:
        found = len(columns)
        identifier = _ID.fullmatch(columns[0])
        if found != _UNIVERSAL or identifier is None:
            reason = f"{found} column{'s' * (found != 1)}" if found != _UNIVERSAL else "no id"
            return (
                f"malformed line {quoted(line)} ({reason}). CoNLL-U has 10 columns separated by "
                "tabs"
            )
        word = identifier["word"]
        if word is not None and (int(word) != number or not columns[1]):
            return (
                f"the word {quoted(columns[1])} has the id {word} instead of {number}. Number the "
                "words of a sentence from 1, give each a form, and put a blank line between "
                "sentences"
            )
        return None

    def write(self, record: Record, result: Optional[Result]) -> bytes:
        words, tags = _words_and_tags(result)
        lines, rows = list(record.lines), record.rows
        if record.columns != CONLLU:
            rest = "\t_" * (_UNIVERSAL - 2)
            cells = [_cell(word, "\t\r\n") for word in words]
            lines = [f"{i}\t{word}{rest}" for i, word in enumerate(cells, start=1)]
            lines += [""] * (result is not None)
            rows = range(len(words))
        for row, tag in zip(rows, tags, strict=True):
            columns = lines[row].split("\t")
            columns[self.tag_column] = _cell(tag, "\t\r\n")
            lines[row] = "\t".join(columns)
        return _utf_8("".join(f"{line}\n" for line in lines))

    def write_error(self, message: str) -> bytes:
        return _utf_8(f"# error = {_one_line(message)}\n\n")


class Terminal:
    """
    For people to look at.

    # Parameters

    width : `int`
    colour : `str`, optional
        As `Console` names colour systems.
    """

    def __init__(self, width: int, colour: Optional[str]) -> None:
        self.width = width
        self.colour = colour

    def write(self, record: Record, result: Optional[Result]) -> bytes:
        if result is None:
            return b""
        console = self._console()
        print_sentence(console, result)
        return _utf_8(console.file.getvalue())  # type: ignore[attr-defined]

    def write_error(self, message: str) -> bytes:
        console = self._console()
        console.print(message, style="red", markup=False, highlight=False)
        return _utf_8(console.file.getvalue() + "\n")  # type: ignore[attr-defined]

    def _console(self) -> Console:
        return Console(
            file=io.StringIO(),
            width=self.width,
            color_system=self.colour,  # type: ignore[arg-type]
            force_terminal=self.colour is not None,
        )


def _apart(lines: Iterator[Line]) -> Iterator[Line]:
    """With a blank line after each that starts a document."""
    for line in lines:
        if _DOCUMENT_MARK in _columns(line.text):
            yield from (line._replace(text=""), line, line._replace(text=""))
        else:
            yield line


def _columns(line: str) -> List[str]:
    # Unlike str.split(), not at a no-break space, which may stand inside a number.
    return re.split("[ \t]+", line.strip(" \t"))


def _first_error(block: Sequence[Line]) -> Optional[Line]:
    return next((line for line in block if line.error is not None), None)


def _words_and_tags(result: Optional[Result]) -> Tuple[Sequence[str], Sequence[str]]:
    return ((), ()) if result is None else (result["words"], result["tags"])


def _cell(value: str, forbidden: str = " \t\r\n") -> str:
    if any(character in value for character in forbidden):
        raise InputError(
            f"{quoted(value)} has white space in it, which would separate columns. Use another "
            "format for the output: --to jsonl"
        )
    return value


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _utf_8(text: str) -> bytes:
    # A message may quote what is none.
    return text.encode("utf-8", "backslashreplace")
