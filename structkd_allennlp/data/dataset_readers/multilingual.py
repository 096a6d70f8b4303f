"""Several languages as one stream of sentences."""

import logging
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance, Token

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.corpus_paths import (
    CorpusFile,
    Paths,
    files_of,
    files_of_languages,
    guess_language,
)
from structkd_allennlp.data.dataset_readers.tagging_reader import (
    TaggingReader,
    as_tagging_reader,
    check_max_instances,
)
from structkd_allennlp.data.dataset_readers.unlabelled_text import UnlabelledTextReader
from structkd_allennlp.data.sentences import TaggedSentence, sentence_of

logger = logging.getLogger(__name__)

UNDETERMINED = "und"
"""The language code, after ISO 639-2, of a file whose language nobody knows."""


@DatasetReader.register("multilingual")
class MultilingualReader(DatasetReader):
    """
    Reads the files of several languages in turn, a sentence from each, until the last one ends.
    Each sentence is read once. The files may be in different formats.

    A path can have any of the forms in `structkd_allennlp.data.corpus_paths`. Where it states no
    language, a file is in the one that the file itself names (WikiAnn) or that its reader is set
    to. If there is neither, the name of the file or of its folder decides: `en_ewt-ud-test.conllu`,
    `en.txt`, `en/test.conllu` (see `guess_language` there).

    The `max_instances` of a wrapped reader limits each file that it reads, and that of this reader
    limits all of them together.

    Registered as a `DatasetReader` with name "multilingual".

    # Parameters

    reader : `TaggingReader`, optional (default=`None`)
        Reads all languages that have no reader of their own.
    readers : `Dict[str, TaggingReader]`, optional (default=`None`)
        Readers of single languages. One of `reader` and `readers` is needed.
    languages : `List[str]`, optional (default = the keys of `readers`)
        What `{language}` stands for in a path. Where they are given, a dictionary from language to
        path is read for these alone, and has to have a path for each (see `files_of_languages`
        there).
    unlabelled_reader : `TaggingReader`, optional (default = `UnlabelledTextReader`)
        Splits text without labels into words. Everything else about such sentences, such as their
        token indexers, comes from the reader of their language.
    """

    # The hints say `DatasetReader` because only that class can look up a registered name.
    def __init__(
        self,
        reader: Optional[DatasetReader] = None,
        readers: Optional[Dict[str, DatasetReader]] = None,
        languages: Optional[List[str]] = None,
        unlabelled_reader: Optional[DatasetReader] = None,
        **kwargs: Any,
    ) -> None:
        check_max_instances(kwargs.get("max_instances"))
        super().__init__(
            manual_distributed_sharding=True, manual_multiprocess_sharding=True, **kwargs
        )
        self.readers = {
            language: as_tagging_reader(f'"readers.{language}" of a "multilingual"', own)
            for language, own in (readers or {}).items()
        }
        self.reader = (
            None if reader is None else as_tagging_reader('"reader" of a "multilingual"', reader)
        )
        if self.reader is None and not self.readers:
            raise ConfigurationError(
                'a "multilingual" dataset reader needs a "reader" for all languages or "readers" '
                "for some of them."
            )
        self.unlabelled_reader = as_tagging_reader(
            '"unlabelled_reader" of a "multilingual"', unlabelled_reader or UnlabelledTextReader()
        )
        self.languages = list(self.readers) if languages is None else languages
        self._files_of = files_of if languages is None else files_of_languages
        for language in self.languages:
            self._reader_of(language)

    def files(self, file_path: Paths) -> List[CorpusFile]:
        """Those that are read."""
        return self._files_of(file_path, self.languages)

    def sentences(self, file_path: Paths) -> Iterator[TaggedSentence]:
        """All sentences of all languages in turn, whatever the worker."""
        streams = [self.sentences_of(file) for file in self.files(file_path)]
        for turn in zip_longest(*streams):
            yield from (sentence for sentence in turn if sentence is not None)

    def sentences_of(self, file: CorpusFile) -> Iterator[TaggedSentence]:
        """All sentences of one file."""
        return self._sentences(*self._source(file))

    def _sentences(self, file: CorpusFile, reader: TaggingReader) -> Iterator[TaggedSentence]:
        sentences = reader.sentences(file.path, file.language)
        for sentence in islice(sentences, reader.max_instances):
            language = sentence.language or UNDETERMINED
            # A file may itself name a language that has no reader.
            self._reader_of(language, file.path)
            # Text that is given as unlabelled stays so, even where its reader finds tags.
            tags = None if file.unlabelled else sentence.tags
            yield replace(sentence, language=language, tags=tags)

    def _read(self, file_path: Paths) -> Iterator[Instance]:
        # Only this reader shards: `sentences` of the wrapped ones know nothing of workers.
        for sentence in self.shard_iterable(self.sentences(file_path)):
            yield self._any_reader(sentence.language).instance(sentence)

    def text_to_instance(
        self,
        tokens: Sequence[Union[str, Token]],
        tags: Optional[List[str]] = None,
        language: Optional[str] = None,
    ) -> Instance:
        """By the reader of this language, or else the one for all, or else the first."""
        return self._any_reader(language).text_to_instance(tokens, tags, language)

    def tokenize(self, text: str, language: Optional[str] = None) -> List[Token]:
        return self._any_reader(language).tokenize(text, language)

    def apply_token_indexers(self, instance: Instance) -> None:
        self._any_reader(sentence_of(instance).language).apply_token_indexers(instance)

    def _any_reader(self, language: Optional[str]) -> TaggingReader:
        reader = self.readers.get(language or "", self.reader)
        return next(iter(self.readers.values())) if reader is None else reader

    def _reader_of(self, language: str, path: Optional[str] = None) -> TaggingReader:
        reader = self.readers.get(language, self.reader)
        if reader is None:
            place = "" if path is None else f"{path}: "
            raise ConfigurationError(
                f"{place}no dataset reader for the language {quoted(language)}, only for "
                f'{", ".join(self.readers)}. Add it to "readers", set a "reader" for all others, '
                "or state the file's language by writing its path as 'en=path'."
            )
        return reader

    def _source(self, file: CorpusFile) -> Tuple[CorpusFile, TaggingReader]:
        """The file with its language, as far as that is known ahead of reading, and its reader."""
        reader = self.unlabelled_reader if file.unlabelled else None
        if file.language is not None:
            return file, reader or self._reader_of(file.language, file.path)
        guess = guess_language(file.path, {*self.languages, *self.readers})
        if reader is None:
            reader = self._any_reader(guess)
            if guess is not None or not reader.files_name_language:
                reader = self._reader_of(guess or UNDETERMINED, file.path)
        if reader.language is not None or reader.files_name_language:
            # Either is worth more than a guess, and a guess must not contradict it.
            return file, reader
        if guess is None:
            logger.warning(
                "%s: the language of this file is unknown, so it is called %r. "
                "To state it, write the path as 'en=%s', for example.",
                file.path,
                UNDETERMINED,
                file.path,
            )
        return file._replace(language=guess), reader
