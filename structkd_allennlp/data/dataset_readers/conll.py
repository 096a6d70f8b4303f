"""Corpora in columns, as of CoNLL-2002 and CoNLL-2003."""

import re
from itertools import dropwhile
from typing import Any, Iterator, List, Optional, TextIO, Tuple

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import (
    NumberedLine,
    blocks,
    input_error,
    numbered_lines,
)
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.data.tag_schemes import INPUT_SCHEMES

DOCUMENT_MARK = "-DOCSTART-"


@DatasetReader.register("structkd_conll")
class ConllReader(TaggingReader):
    """
    Reads one token per line, in columns separated by spaces or tabs, with a blank line between
    sentences. All lines of a file have the same number of columns, at least two. A `-DOCSTART-`
    line ends a sentence and is left out.

    Registered as a `DatasetReader` with name "structkd_conll".

    # Parameters

    token_column : `int`, optional (default=`0`)
        Negative numbers count from the last column.
    tag_column : `int`, optional (default=`-1`)
    label_encoding : `str`, optional (default=`"BIO"`)
    input_encoding : `str`, optional (default=`None`)
        The scheme, `"IOB1"`, `"BIO"` or `"BIOUL"`, that the tags in the files must follow if
        `label_encoding` is set. `None` accepts what `TaggingReader` describes.
    comment : `str`, optional (default=`None`)
        Lines ahead of the first word of a sentence are comments if they start with this. GermEval
        2014 has `"#"`, for example. By default there are no comments, as `#` may be a word.
    """

    def __init__(
        self,
        token_column: int = 0,
        tag_column: int = -1,
        label_encoding: Optional[str] = "BIO",
        input_encoding: Optional[str] = None,
        comment: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(label_encoding=label_encoding, **kwargs)
        if input_encoding is not None and input_encoding not in INPUT_SCHEMES:
            raise ConfigurationError(
                f'unknown "input_encoding": {input_encoding!r}. Use one of '
                f"{', '.join(INPUT_SCHEMES)}, or null to accept IOB1 and BIO alike."
            )
        self.token_column = token_column
        self.tag_column = tag_column
        self.input_encoding = input_encoding
        self.comment = comment

    def _is_comment(self, line: NumberedLine) -> bool:
        assert self.comment is not None
        return line[1].startswith(self.comment)

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        first: Optional[Tuple[int, int]] = None
        lines = (
            (number, "" if DOCUMENT_MARK in _split(line) else line)
            for number, line in numbered_lines(file, path)
        )
        for block in blocks(lines, path, self.max_sentence_length):
            if self.comment is not None:
                block = list(dropwhile(self._is_comment, block))
                if not block:
                    continue
            rows = [_split(line) for _, line in block]
            first = first or (block[0][0], len(rows[0]))
            self._check(block, rows, first, path)
            yield (
                TaggedSentence(
                    tokens=[Token(row[self.token_column]) for row in rows],
                    tags=[row[self.tag_column] for row in rows],
                    language=language,
                ),
                [number for number, _ in block],
            )

    def _check(
        self, block: List[NumberedLine], rows: List[List[str]], first: Tuple[int, int], path: str
    ) -> None:
        first_line, expected = first
        for (number, line), row in zip(block, rows, strict=True):
            if len(row) == expected >= 2:
                continue
            problem = f"{len(row)} column{'s' * (len(row) != 1)} ({quoted(line)}), but "
            problem += f"line {first_line} has {expected}" if expected >= 2 else "2 are needed"
            remedy = "Separate columns by spaces or tabs, and sentences by a blank line"
            if self.comment is None and block[0][1].startswith("#"):
                remedy += ', or set "comment": "#" in the dataset reader if these are comments'
            raise input_error(path, problem, remedy, line=number)
        for name in ("token_column", "tag_column"):
            column = getattr(self, name)
            if not -expected <= column < expected:
                raise input_error(
                    path,
                    f'"{name}" is {column}, but there are {expected} columns, counted from 0',
                    f'Correct "{name}" in the dataset reader',
                    line=first_line,
                )


def _split(line: str) -> List[str]:
    # Unlike str.split(), not at a no-break space, which may stand inside a number.
    return re.split("[ \t]+", line.strip(" \t\r\n"))
