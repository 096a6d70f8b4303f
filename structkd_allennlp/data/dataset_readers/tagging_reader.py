"""What the readers of all corpora have in common."""

import os
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Optional, Sequence, TextIO, Tuple, Union

from allennlp.common.checks import ConfigurationError
from allennlp.data import Field, Instance, Token, TokenIndexer, Tokenizer
from allennlp.data.dataset_readers import DatasetReader
from allennlp.data.dataset_readers.dataset_reader import PathOrStr
from allennlp.data.fields import MetadataField, TextField
from allennlp.data.token_indexers import SingleIdTokenIndexer

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.corpus_paths import CorpusFile, split_parts
from structkd_allennlp.data.dataset_readers.text_files import (
    check_is_text_file,
    input_error,
    open_text,
)
from structkd_allennlp.data.fields.sentence_metadata import SentenceMetadata
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, TagSequenceField
from structkd_allennlp.data.fields.words_field import WordsField
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.data.tag_schemes import (
    OUTPUT_SCHEMES,
    TagSchemeError,
    recode,
    scheme_of,
)
from structkd_allennlp.data.tokenizers.blank_spacy_tokenizer import (
    MULTI_LANGUAGE,
    blank_spacy_tokenizer,
)

ParsedSentence = Tuple[TaggedSentence, Sequence[int]]
"""A sentence with its tags as they are in the file, and the line number of each."""


def check_max_instances(most: Optional[int]) -> None:
    if most is not None and most < 1:
        raise ConfigurationError(
            f'"max_instances" of the dataset reader is {most}, so nothing would be read: set it to '
            "1 or more, or leave it out to read everything"
        )


class TaggingReader(DatasetReader):
    """
    The base of all readers of tagged sentences. A subclass parses its format in `_parse`. All else,
    such as recoding, sharding and making instances, is here. Files are streamed.

    A path names a file or a part of one, such as `train.txt#not-fold=1of10` (see
    `structkd_allennlp.data.corpus_paths`).

    Instances have the fields `tokens` (a `WordsField`), `metadata` (`words`, `language`, and `tags`
    where they are known) and, where they are known, `tags` (a `TagSequenceField`).

    # Parameters

    token_indexers : `Dict[str, TokenIndexer]`, optional (default=`None`)
        The default is `{"tokens": SingleIdTokenIndexer()}`.
    language : `str`, optional (default=`None`)
        The language of the files. It goes into the metadata and decides on the tokenizer.
    label_encoding : `str`, optional (default=`None`)
        The scheme of the labels in the instances, `"BIO"` or `"BIOUL"`. Tags in IOB1 or BIO are
        recoded; as in conlleval, an `I-X` that does not continue an entity starts one. From its
        first `L-` or `U-` tag on, a file must be valid BIOUL. `None` takes tags as they are.
    tokenizer : `Tokenizer`, optional (default=`None`)
        For raw text; the default is spaCy's blank tokenizer of the language.
    label_namespace : `str`, optional (default=`"labels"`)
    encoding : `str`, optional (default=`"utf-8"`)
        Of the files.
    max_sentence_length : `int`, optional (default=`250_000`)
        In words. A longer sentence is an error: more likely than not a file in another format.

    Raises `ConfigurationError` for input that cannot be read, with the file, the line, the value
    and a remedy.
    """

    files_name_language: bool = False
    """Whether files of this format state their language."""

    input_encoding: Optional[str] = None
    """The scheme that tags must follow; see `recode`."""

    def __init__(
        self,
        token_indexers: Optional[Dict[str, TokenIndexer]] = None,
        language: Optional[str] = None,
        label_encoding: Optional[str] = None,
        tokenizer: Optional[Tokenizer] = None,
        label_namespace: str = "labels",
        encoding: str = "utf-8",
        max_sentence_length: int = 250_000,
        **kwargs: Any,
    ) -> None:
        check_max_instances(kwargs.get("max_instances"))
        super().__init__(
            manual_distributed_sharding=True, manual_multiprocess_sharding=True, **kwargs
        )
        if label_encoding is not None and label_encoding not in OUTPUT_SCHEMES:
            raise ConfigurationError(
                f'unknown "label_encoding": {label_encoding!r}. Use one of '
                f"{', '.join(OUTPUT_SCHEMES)}, or null to take tags as they are."
            )
        try:
            "".encode(encoding)
        except LookupError as error:
            raise ConfigurationError(
                f'unknown "encoding": {encoding!r}. Use the name of a text encoding that Python '
                'knows, such as "utf-8" or "iso-8859-1".'
            ) from error
        self.token_indexers = token_indexers or {"tokens": SingleIdTokenIndexer()}
        self.language = language
        self.label_encoding = label_encoding
        self.tokenizer = tokenizer
        self.label_namespace = label_namespace
        self.encoding = encoding
        self.max_sentence_length = max_sentence_length

    def _parse(self, file: TextIO, path: str, language: Optional[str]) -> Iterator[ParsedSentence]:
        """
        The sentences of an open file. `path` is for messages; `language` is that of the file
        according to the caller or the configuration.
        """
        raise NotImplementedError

    def files(self, file_path: PathOrStr) -> List[CorpusFile]:
        """The one that is read."""
        return [CorpusFile(os.fspath(file_path), self.language)]

    def sentences(
        self, file_path: PathOrStr, language: Optional[str] = None
    ) -> Iterator[TaggedSentence]:
        """
        All sentences of a file, whatever the worker, with tags in `label_encoding`.

        # Parameters

        file_path : `PathOrStr`
        language : `str`, optional (default=`None`)
            Overrides the language of the reader.
        """
        language = language or self.language
        path, parts = split_parts(os.fspath(file_path))
        check_is_text_file(path, language)
        scheme = self.input_encoding
        found = selected = 0
        with open_text(path, self.encoding) as file:
            for sentence, lines in self._parse(file, path, language):
                found += 1
                self._check_length(sentence.words, path, lines)
                if not all(part.selects(sentence.words) for part in parts):
                    continue
                if self.label_encoding and sentence.tags:
                    if scheme is None and scheme_of(sentence.tags) == "BIOUL":
                        scheme = "BIOUL"
                    tags = self._recode(sentence.tags, scheme, path, lines)
                    sentence = replace(sentence, tags=tags)
                selected += 1
                yield sentence
        if not selected:
            problem = f"only {found} sentences, none in this part" if found else "no sentences"
            raise input_error(
                os.fspath(file_path), problem, "Name a file with sentences in this reader's format"
            )

    def _check_length(self, words: Sequence[str], path: str, lines: Sequence[int]) -> None:
        if len(words) > self.max_sentence_length:
            raise input_error(
                path,
                f"a sentence of {len(words):,} words, {quoted(' '.join(words[:20]), 60)}, which is "
                f"more than {self.max_sentence_length:,}",
                'Split it, or raise "max_sentence_length" in the dataset reader',
                line=lines[0] if lines else None,
            )

    def _recode(
        self, tags: List[str], scheme: Optional[str], path: str, lines: Sequence[int]
    ) -> List[str]:
        assert self.label_encoding is not None
        try:
            return recode(tags, self.label_encoding, scheme)
        except TagSchemeError as error:
            problem = error.problem
            remedy = 'Correct the tag, or set "label_encoding": null to take tags as they are'
            if self.input_encoding is not None:
                problem += f' (the configured "input_encoding" is {self.input_encoding!r})'
                remedy = 'Correct the tag or the "input_encoding" (null accepts IOB1 and BIO)'
            elif scheme is not None:
                problem += f" (the file is read as {scheme} because it has L- or U- tags)"
            raise input_error(path, problem, remedy, line=lines[error.index]) from error

    def _read(self, file_path: PathOrStr) -> Iterator[Instance]:
        for sentence in self.shard_iterable(self.sentences(file_path)):
            yield self.instance(sentence)

    def instance(self, sentence: TaggedSentence) -> Instance:
        """
        A sentence to train on. Without tags, its `tags` field holds `UNLABELLED`, so that labelled
        and unlabelled sentences can share a batch.
        """
        instance = self.text_to_instance(sentence.tokens, sentence.tags, sentence.language)
        if sentence.tags is None:
            text_field = instance["tokens"]
            assert isinstance(text_field, TextField)
            labels = [UNLABELLED] * len(sentence.tokens)
            instance.add_field("tags", TagSequenceField(labels, text_field, self.label_namespace))
        return instance

    def tokenize(self, text: str, language: Optional[str] = None) -> List[Token]:
        """Splits raw text into tokens, by default as text in the reader's language."""
        if self.tokenizer is not None:
            return self.tokenizer.tokenize(text)
        return blank_spacy_tokenizer(language or self.language or MULTI_LANGUAGE).tokenize(text)

    def text_to_instance(
        self,
        tokens: Sequence[Union[str, Token]],
        tags: Optional[List[str]] = None,
        language: Optional[str] = None,
    ) -> Instance:
        """
        # Parameters

        tokens : `Sequence[Union[str, Token]]`
        tags : `List[str]`, optional (default=`None`)
            One per token, in the reader's `label_encoding`.
        language : `str`, optional (default=`None`)
            The default is the reader's language.
        """
        if not tokens:
            raise ConfigurationError("A sentence without tokens cannot be tagged. Leave it out.")
        words = [Token(token) if isinstance(token, str) else token for token in tokens]
        text_field = WordsField(words)
        metadata: Dict[str, Any] = {
            "words": [word.text for word in words],
            "language": language or self.language,
        }
        fields: Dict[str, Field] = {"tokens": text_field}
        if tags is not None:
            metadata["tags"] = tags
            fields["tags"] = TagSequenceField(tags, text_field, self.label_namespace)
        fields["metadata"] = MetadataField(SentenceMetadata(metadata))
        return Instance(fields)

    def apply_token_indexers(self, instance: Instance) -> None:
        text_field = instance["tokens"]
        assert isinstance(text_field, TextField)
        text_field.token_indexers = self.token_indexers


def as_tagging_reader(name: str, reader: DatasetReader) -> TaggingReader:
    """The reader, which a configuration calls by this name, if it is one of ours."""
    if not isinstance(reader, TaggingReader):
        raise ConfigurationError(
            f"{name} dataset reader is a {type(reader).__name__}. Use one of structkd_allennlp's "
            "readers of tagged sentences there."
        )
    return reader
