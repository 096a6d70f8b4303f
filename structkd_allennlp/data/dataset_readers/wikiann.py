"""WikiAnn, also known as PAN-X."""

import re
from typing import Any, Iterator, Optional, TextIO

from allennlp.data import DatasetReader, Token

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import blocks, input_error, numbered_lines
from structkd_allennlp.data.sentences import TaggedSentence

# Only the first colon ends the language (`en:3:15` is a token with a colon).
_LINE = re.compile(
    r"(?P<language>[A-Za-z]+(?:[-_][A-Za-z0-9]+)*):(?P<token>[^\t]+)\t(?P<tag>\S+) *"
)


@DatasetReader.register("wikiann")
class WikiAnnReader(TaggingReader):
    """
    Reads lines of a language code, a colon, a token, a tab and a tag, such as `en:Paris<TAB>B-LOC`,
    with a blank line between sentences.

    The file names the language of each sentence. If the configuration names one too, the two must
    agree.

    Registered as a `DatasetReader` with name "wikiann".

    # Parameters

    label_encoding : `str`, optional (default=`"BIO"`)
    """

    files_name_language = True

    def __init__(self, label_encoding: Optional[str] = "BIO", **kwargs: Any) -> None:
        super().__init__(label_encoding=label_encoding, **kwargs)

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        for block in blocks(numbered_lines(file, path), path, self.max_sentence_length):
            tokens, tags = [], []
            expected, by = language, "the configuration says"
            for number, line in block:
                match = _LINE.fullmatch(line)
                if match is None:
                    raise input_error(
                        path,
                        f"{quoted(line)} is not a WikiAnn line",
                        "Write language, colon, token, tab and tag, as in 'en:Paris\\tB-LOC'",
                        line=number,
                    )
                if expected is None:
                    expected, by = match["language"], "its sentence starts with"
                elif match["language"] != expected:
                    raise input_error(
                        path,
                        f"the language is {quoted(match['language'])}, but {by} {quoted(expected)}",
                        "Correct the file, or the language in the configuration or the path",
                        line=number,
                    )
                tokens.append(Token(match["token"]))
                tags.append(match["tag"])
            yield TaggedSentence(tokens, tags, expected), [number for number, _ in block]
