"""Parts of speech in Universal Dependencies treebanks."""

import re
from typing import Any, Iterator, List, Optional, TextIO

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token
from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELDS, parse_line

from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import blocks, input_error
from structkd_allennlp.data.sentences import TaggedSentence

# The columns after these, such as FEATS, are not used, so no value there is an error.
_FIELDS = DEFAULT_FIELDS[: DEFAULT_FIELDS.index("xpos") + 1]
_TAGS = ("upos", "xpos")


@DatasetReader.register("universal_dependencies_pos")
class UniversalDependenciesPosReader(TaggingReader):
    """
    Reads the words of CoNLL-U files with their parts of speech. Multiword ranges (`2-3`) and empty
    nodes (`8.1`) are left out. Every word must have a tag, even one whose form is `_`.

    Registered as a `DatasetReader` with name "universal_dependencies_pos".

    # Parameters

    tag : `str`, optional (default=`"upos"`)
        The column that holds the tag, `"upos"` or `"xpos"`.
    """

    def __init__(self, tag: str = "upos", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if tag not in _TAGS:
            raise ConfigurationError(f'unknown "tag": {tag!r}. Use one of {", ".join(_TAGS)}.')
        self.tag = tag

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        # The sentences are not split by `conllu.parse_incr`, because its errors name no line.
        for block in blocks(file):
            tokens: List[Token] = []
            tags: List[str] = []
            lines: List[int] = []
            for number, line in block:
                if line.startswith("#"):
                    continue
                try:
                    columns = line.count("\t") + 1
                    if columns != len(DEFAULT_FIELDS):
                        raise ParseException(f"{columns} column{'s' * (columns != 1)}")
                    # The library would also take two spaces inside a form for a column's end.
                    word = parse_line(re.sub(" +", " ", line), _FIELDS)
                except ParseException as error:
                    raise input_error(
                        path,
                        f"malformed line {line!r} ({error})",
                        "CoNLL-U has 10 columns separated by tabs",
                        line=number,
                    ) from error
                if isinstance(word["id"], tuple):
                    continue
                if word["id"] != len(tokens) + 1 or not word["form"]:
                    raise input_error(
                        path,
                        f"the word {word['form']!r} has the id {word['id']} instead of "
                        f"{len(tokens) + 1}",
                        "Number the words of a sentence from 1, give each a form, "
                        "and put a blank line between sentences",
                        line=number,
                    )
                if word[self.tag] in (None, "", "_"):
                    other = _TAGS[1 - _TAGS.index(self.tag)]
                    raise input_error(
                        path,
                        f"the word {word['form']!r} has no {self.tag} tag",
                        f'Add one, leave the sentence out, or set "tag": "{other}"',
                        line=number,
                    )
                tokens.append(Token(word["form"]))
                tags.append(word[self.tag])
                lines.append(number)
            if tokens:  # A block may consist of comments alone.
                yield TaggedSentence(tokens, tags, language), lines
