"""Text without labels."""

from typing import Any, Iterator, Optional, TextIO

from allennlp.data import Token
from allennlp.data.dataset_readers import DatasetReader

from structkd_allennlp.data.dataset_readers.tagging_reader import ParsedSentence, TaggingReader
from structkd_allennlp.data.dataset_readers.text_files import numbered_lines
from structkd_allennlp.data.sentences import TaggedSentence


@DatasetReader.register("unlabelled_text")
class UnlabelledTextReader(TaggingReader):
    """
    Reads text without labels, one sentence per line; blank lines are skipped. A `structure_kd`
    trains on such sentences by its distillation loss alone.

    Registered as a `DatasetReader` with name "unlabelled_text".

    # Parameters

    tokenized : `bool`, optional (default=`True`)
        Whether the tokens of a line are separated by spaces. If not, the `tokenizer` splits it.
    """

    def __init__(self, tokenized: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tokenized = tokenized

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        for number, line in numbered_lines(file, path):
            text = line.strip(" \t")
            if self.tokenized:
                # A no-break space may be part of a token, so this is not str.split().
                tokens = [Token(word) for word in text.split(" ") if word]
            else:
                tokens = self.tokenize(text, language)
            if tokens:
                yield TaggedSentence(tokens, None, language), [number]
