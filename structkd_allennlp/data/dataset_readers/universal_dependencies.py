"""Parts of speech in Universal Dependencies treebanks."""

import re
from typing import Any, Iterator, List, Optional, TextIO

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Token
from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELDS, parse_line

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import blocks, input_error, numbered_lines
from structkd_allennlp.data.sentences import TaggedSentence

# The columns after these, such as FEATS, are not used, so no value there is an error.
_FIELDS = DEFAULT_FIELDS[: DEFAULT_FIELDS.index("xpos") + 1]
_TAGS = ("upos", "xpos")


@DatasetReader.register("universal_dependencies_pos")
class UniversalDependenciesPosReader(TaggingReader):
    """
    Reads the words of CoNLL-U files with their parts of speech. Multiword ranges (`2-3`) and empty
    nodes (`8.1`) are left out. Every word must have a tag, even one whose form is `_`, unless
    there is a `missing_tag`.

    Registered as a `DatasetReader` with name "universal_dependencies_pos".

    # Parameters

    tag : `str`, optional (default=`"upos"`)
        The column that holds the tag, `"upos"` or `"xpos"`.
    missing_tag : `str`, optional (default=`None`)
        The label of a word without a tag, whose column is `_`. `None` makes such a word an error.
    """

    def __init__(self, tag: str = "upos", missing_tag: Optional[str] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if tag not in _TAGS:
            raise ConfigurationError(f'unknown "tag": {tag!r}. Use one of {", ".join(_TAGS)}.')
        self.tag = tag
        self.missing_tag = missing_tag

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        # The sentences are not split by `conllu.parse_incr`, because its errors name no line.
        # Comments and multiword ranges have lines too.
        most = 3 * self.max_sentence_length
        for block in blocks(numbered_lines(file, path), path, most):
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
                # The latter for an id of more digits than Python takes for a number.
                except (ParseException, ValueError) as error:
                    raise input_error(
                        path,
                        f"malformed line {quoted(line)} ({str(error)[:100]})",
                        "CoNLL-U has 10 columns separated by tabs",
                        line=number,
                    ) from error
                if isinstance(word["id"], tuple):
                    continue
                if word["id"] != len(tokens) + 1 or not word["form"]:
                    raise input_error(
                        path,
                        f"the word {quoted(word['form'])} has the id {quoted(word['id'])} "
                        f"instead of {len(tokens) + 1}",
                        "Number the words of a sentence from 1, give each a form, "
                        "and put a blank line between sentences",
                        line=number,
                    )
                tag = self.missing_tag if word[self.tag] in (None, "", "_") else word[self.tag]
                if tag is None:
                    other = _TAGS[1 - _TAGS.index(self.tag)]
                    raise input_error(
                        path,
                        f"the word {quoted(word['form'])} has no {self.tag} tag",
                        f'Add one, leave the sentence out, set "tag": "{other}", or set '
                        '"missing_tag" to the label of such words, in the dataset reader',
                        line=number,
                    )
                tokens.append(Token(word["form"]))
                tags.append(tag)
                lines.append(number)
            if tokens:  # A block may consist of comments alone.
                yield TaggedSentence(tokens, tags, language), lines
