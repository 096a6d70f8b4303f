"""Several languages as one stream of sentences."""

import json
import logging
import os
import re
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Union

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance, Token
from allennlp.data.dataset_readers.dataset_reader import PathOrStr

from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.dataset_readers.unlabelled_text import UnlabelledTextReader
from structkd_allennlp.data.sentences import TaggedSentence, sentence_of

logger = logging.getLogger(__name__)

UNDETERMINED = "und"
"""The language code, after ISO 639-2, of a file whose language nobody knows."""


UNLABELLED = "unlabelled"
"""The key, in the place of a language, of paths to text without labels."""

# A path, a dictionary from language to path, `{UNLABELLED: Paths}`, or a list of these.
Paths = Union[PathOrStr, Mapping[str, Any], List[Any]]


class _File(NamedTuple):
    path: str
    reader: TaggingReader
    language: Optional[str]
    unlabelled: bool = False


@DatasetReader.register("multilingual")
class MultilingualReader(DatasetReader):
    """
    Reads the files of several languages in turn, a sentence of each, until the last one ends; each
    sentence comes once. The files may be in different formats.

    A path can be

    - a dictionary from language to path, or JSON of one;
    - a pattern such as `data/{language}/train.txt`, read for each of `languages`;
    - a language and a path, such as `gl=data/gl/test.conllu`;
    - a plain path. Its language is the one that the file itself names (WikiAnn). If it names none,
      it is guessed: from the start of the file's name (`en_ewt-ud-test.conllu`, `en.txt`) or from
      its folder's, where that is a language that is configured or has two letters;
    - a list of these.

    In the place of a language, `"unlabelled"` stands for text without labels, in any of these
    forms: `["data/{language}/train.txt", {"unlabelled": {"en": "text/en.txt"}}]`.

    The parts of files that `TaggingReader` describes work in each of them. The `max_instances` of
    a wrapped reader limits each language it reads, that of this reader the whole.

    Registered as a `DatasetReader` with name "multilingual".

    # Parameters

    reader : `TaggingReader`, optional (default=`None`)
        Reads every language that has no reader of its own.
    readers : `Dict[str, TaggingReader]`, optional (default=`None`)
        Readers of single languages. One of `reader` and `readers` is needed.
    languages : `List[str]`, optional (default = the keys of `readers`)
        What `{language}` stands for in a path.
    unlabelled_reader : `TaggingReader`, optional (default = `UnlabelledTextReader`)
        Splits text without labels into words. All else about such sentences, such as their token
        indexers, is up to the reader of their language.
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
        super().__init__(
            manual_distributed_sharding=True, manual_multiprocess_sharding=True, **kwargs
        )
        self.readers = {
            language: _tagging_reader(f'"readers.{language}"', own)
            for language, own in (readers or {}).items()
        }
        self.reader = None if reader is None else _tagging_reader('"reader"', reader)
        if self.reader is None and not self.readers:
            raise ConfigurationError(
                'a "multilingual" dataset reader needs a "reader" for all languages or "readers" '
                "for some of them."
            )
        self.unlabelled_reader = _tagging_reader(
            '"unlabelled_reader"', unlabelled_reader or UnlabelledTextReader()
        )
        self.languages = list(self.readers) if languages is None else languages
        for language in self.languages:
            self._reader_of(language)

    def sentences(self, file_path: Paths) -> Iterator[TaggedSentence]:
        """All sentences of all languages in turn, whatever the worker."""
        streams = [self._sentences(file) for file in self._files(file_path)]
        for turn in zip_longest(*streams):
            yield from (sentence for sentence in turn if sentence is not None)

    def _sentences(self, file: _File) -> Iterator[TaggedSentence]:
        sentences = file.reader.sentences(file.path, file.language)
        for sentence in islice(sentences, file.reader.max_instances):
            language = sentence.language or UNDETERMINED
            # The language that a file names itself may be one that nothing is configured for.
            self._reader_of(language, file.path)
            # Text that is given as unlabelled is that, also where its reader finds tags.
            tags = None if file.unlabelled else sentence.tags
            yield replace(sentence, language=language, tags=tags)

    def _read(self, file_path: Paths) -> Iterator[Instance]:
        # Only this reader shards. The wrapped ones never learn of workers, as their own
        # `sentences` are what is read.
        for sentence in self.shard_iterable(self.sentences(file_path)):
            yield self._any_reader(sentence.language).instance(sentence)

    def text_to_instance(
        self,
        tokens: Sequence[Union[str, Token]],
        tags: Optional[List[str]] = None,
        language: Optional[str] = None,
    ) -> Instance:
        """As the reader of this language does, or else the one for all, or else the first."""
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
                f"{place}no dataset reader for the language {language!r}, only for "
                f'{", ".join(self.readers)}. Add it to "readers", set a "reader" for all others, '
                "or state the file's language by writing its path as 'en=path'."
            )
        return reader

    def _files(self, file_path: Paths, reader: Optional[TaggingReader] = None) -> List[_File]:
        """The files that a path stands for; `reader` reads them, if given."""
        files: List[_File] = []
        if isinstance(file_path, (list, tuple)):
            for one in file_path:
                files += self._files(one, reader)
        elif isinstance(file_path, Mapping):
            for language, path in file_path.items():
                if language == UNLABELLED:
                    unlabelled = self._files(path, self.unlabelled_reader)
                    files += [file._replace(unlabelled=True) for file in unlabelled]
                    continue
                for one in path if isinstance(path, (list, tuple)) else [path]:
                    own = reader or self._reader_of(language, str(one))
                    files.append(_File(_path(one), own, language))
        else:
            path = _path(file_path)
            if path.lstrip().startswith("{") and not path.startswith("{language}"):
                return self._files(_from_json(path), reader)
            if "{language}" not in path:
                return [self._file(path, reader)]
            if not self.languages:
                raise ConfigurationError(
                    f'{path}: no languages to put for {{language}}. Set "languages" in the '
                    "dataset reader."
                )
            by_language = {x: path.replace("{language}", x) for x in self.languages}
            return self._files(by_language, reader)
        if not files:
            raise ConfigurationError(f"{file_path!r} names no file. Name one for each language.")
        return files

    def _file(self, path: str, reader: Optional[TaggingReader]) -> _File:
        stated = re.fullmatch(r"([A-Za-z]{2,}(?:[-_][A-Za-z0-9]+)*)=(.+)", path)
        if stated and not os.path.exists(path):
            return _File(stated[2], reader or self._reader_of(stated[1], path), stated[1])
        guess = self._guess(path)
        if reader is None:
            reader = self._any_reader(guess)
            if guess is not None or not reader.files_name_language:
                reader = self._reader_of(guess or UNDETERMINED, path)
        if reader.language is not None or reader.files_name_language:
            # Either is worth more than a guess, and a guess must not contradict it.
            return _File(path, reader, None)
        if guess is None:
            logger.warning(
                "%s: the language of this file is unknown, so it is called %r. "
                "To state it, write the path as 'en=%s', for example.",
                path,
                UNDETERMINED,
                path,
            )
        return _File(path, reader, guess)

    def _guess(self, path: str) -> Optional[str]:
        folder, name = os.path.split(os.path.abspath(path))
        candidates = [
            name.partition(".")[0],
            re.split(r"[._-]", name)[0],
            os.path.basename(folder),
        ]
        known = {*self.languages, *self.readers}
        for candidate in candidates:
            if candidate in known:
                return candidate
        return next((c for c in candidates if re.fullmatch("[a-z]{2}", c)), None)


def _tagging_reader(name: str, reader: DatasetReader) -> TaggingReader:
    if not isinstance(reader, TaggingReader):
        raise ConfigurationError(
            f'{name} of a "multilingual" dataset reader is a {type(reader).__name__}. Use one of '
            "structkd_allennlp's readers of tagged sentences there."
        )
    return reader


def _path(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigurationError(
            f"{path!r} is no path. Write a path, a dictionary from language to path, or a list of "
            "these."
        )
    return os.fspath(path)


def _from_json(text: str) -> Mapping[str, Any]:
    try:
        paths = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text}: no JSON of a dictionary from language to path ({error}). Write it as "
            '{"en": "data/en.txt", "es": "data/es.txt"}, for example.'
        ) from error
    return paths
