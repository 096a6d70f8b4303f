"""A file of tags or distributions, by whatever tool, as a teacher."""

import codecs
import hashlib
import json
import logging
from array import array
from collections import Counter
from contextlib import contextmanager
from typing import BinaryIO, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy
import torch
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers.text_files import (
    LONGEST_TEXT,
    check_is_text_file,
    input_error,
    too_long,
)
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.labelled_lines import (
    BadLine,
    Labelled,
    LabelNumbers,
    are_alike,
    log_probabilities,
    parse,
)
from structkd_allennlp.distillation.target_store import Head
from structkd_allennlp.distillation.teacher import TeacherSource
from structkd_allennlp.distillation.teacher_scheme import (
    MixedSchemes,
    SchemesInUse,
    stated_scheme,
)
from structkd_allennlp.modules.tagger_chain import Potentials

logger = logging.getLogger(__name__)

# That are looked at to tell BIO from IOB1.
_MOST_SENTENCES = 10_000


class _Index(NamedTuple):
    """
    Where in the file which sentence is: 16 bytes a line, whatever the length of a file.

    # Parameters

    keys : `numpy.ndarray`
        `(lines,)`, uint64, sorted: a hash of language and words.
    offsets : `numpy.ndarray`
        `(lines,)`, uint64: of the line, in bytes.
    numbers : `LabelNumbers`
    label_encoding : `Optional[str]`
    """

    keys: numpy.ndarray
    offsets: numpy.ndarray
    numbers: LabelNumbers
    label_encoding: Optional[str]


@TeacherSource.register("file")
class FileSource(TeacherSource):
    """
    What some tool has said of sentences, such as spaCy, flair or a large language model: JSON
    lines of words with tags, or with a distribution over labels for every word (see
    `structkd_allennlp.distillation.labelled_lines`). Sentences are found by their words and, where
    a line says it, their language. A file has no transitions: it is a softmax over the labels of
    each word.

    All of the file is read and checked once, when it is opened; then lines are read where they
    are, so it may be of any size.

    Registered as a `TeacherSource` with name "file".

    # Parameters

    file : `str`
        Not packed.
    missing : `str`, optional (default = `"error"`)
        What to do about training sentences that the file lacks: `"error"`, or `"skip"`, which
        trains on them without this teacher, and without distillation where there is no other.
    labels : `List[str]`, optional
        All that there may be, in the order of the numbers where a distribution is a list. By
        default those that are in the file.
    confidence : `float`, optional (default = `0.95`)
        The probability of a tag. The other labels share the rest evenly.
    label_encoding : `str`, optional
        `"BIO"` or `"IOB1"`, where neither labels nor tags tell.

    # Raises

    `ConfigurationError` for parameters that make no sense, and, when it is used, for a file that is
    missing, has a line that cannot be used, or says two things of one sentence.
    """

    def __init__(
        self,
        file: str,
        missing: str = "error",
        labels: Optional[List[str]] = None,
        confidence: float = 0.95,
        label_encoding: Optional[str] = None,
    ) -> None:
        super().__init__(file)
        if missing not in ("error", "skip"):
            raise ConfigurationError(f'missing must be "error" or "skip", not {missing!r}')
        if not 0 < confidence < 1:
            raise ConfigurationError(
                f"confidence must be more than 0 and less than 1, not {confidence}: a tag is never "
                "certain"
            )
        if labels is not None and (not labels or len(set(labels)) != len(labels)):
            raise ConfigurationError(f"labels must be different names, not {labels}")
        self.missing = missing
        self._labels = labels
        self._confidence = confidence
        self._label_encoding = label_encoding
        self._made: Optional[_Index] = None

    def check(self, language: Optional[str] = None) -> None:
        check_is_text_file(self.name, language)

    def digest(self) -> str:
        digest = hashlib.sha256()
        parts = ["file", self._labels, self._confidence, self._label_encoding]
        digest.update(json.dumps(parts).encode())
        with self._opened() as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def head(self) -> Head:
        index = self._index()
        labels = index.numbers.labels
        return Head(labels, index.label_encoding, Potentials.zeros(len(labels)))

    def has(self, sentence: Sentence) -> bool:
        index = self._index()
        return any(low < high for low, high in _ranges(index.keys, sentence))

    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        index = self._index()
        with self._opened() as file:
            return [self._scores(index, file, sentence) for sentence in sentences]

    def at(self, path: str) -> "FileSource":
        other = super().at(path)
        assert isinstance(other, FileSource)
        other._made = None
        return other

    def _scores(self, index: _Index, file: BinaryIO, sentence: Sentence) -> numpy.ndarray:
        words = list(sentence.words)
        for low, high in _ranges(index.keys, sentence):
            for offset in index.offsets[low:high].tolist():
                labelled = self._line_at(file, offset)
                # Different sentences may have the same key, though hardly ever do.
                if labelled.words == words and labelled.language in (None, sentence.language):
                    return log_probabilities(labelled, index.numbers, self._confidence)
        raise ConfigurationError(
            f"teacher {self.name} lacks the sentence {quoted(' '.join(words))} "
            f"({sentence.language}): add it, its words split in the same way, or set "
            '"missing": "skip"'
        )

    def _line_at(self, file: BinaryIO, offset: int) -> Labelled:
        file.seek(offset)
        try:
            labelled = parse(_decoded(file.readline(LONGEST_TEXT)))
        except BadLine:
            labelled = None
        if labelled is None:
            raise ConfigurationError(
                f"teacher {self.name} has been changed since it was opened: start again"
            )
        return labelled

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with open(self.name, "rb") as file:
                yield file
        except OSError as error:
            raise input_error(
                self.name, f"cannot be read ({error.strerror})", "Name a readable file"
            ) from error

    def _index(self) -> _Index:
        if self._made is None:
            logger.info("reading teacher %s", self.name)
            self._made = self._read()
            logger.info("%s has %s sentences", self.name, f"{len(self._made.keys):,}")
        return self._made

    def _read(self) -> _Index:
        """Reads all of the file, and checks it."""
        numbers = LabelNumbers(self._labels)
        schemes = SchemesInUse()
        keys, offsets = array("Q"), array("Q")
        for number, offset, line in self._lines():
            try:
                labelled = parse(_decoded(line))
                if labelled is None or not labelled.words:
                    continue
                log_probabilities(labelled, numbers, self._confidence)
            except BadLine as error:
                raise input_error(self.name, error.problem, error.remedy, number) from error
            if labelled.tags and len(keys) < _MOST_SENTENCES:
                schemes.add(labelled.tags)
            keys.append(_key(labelled.words, labelled.language))
            offsets.append(offset)
        labels = numbers.labels
        if not labels or not keys:
            raise ConfigurationError(f"{self.name}: there is no labelled sentence in the file")
        if len(labels) > 1 and self._confidence * len(labels) <= 1:
            raise ConfigurationError(
                f"teacher {self.name}: with {len(labels)} labels a confidence of "
                f"{self._confidence} makes a tag no likelier than any other: raise it"
            )
        by_key = numpy.argsort(numpy.frombuffer(keys, numpy.uint64), kind="stable")
        index = _Index(
            numpy.frombuffer(keys, numpy.uint64)[by_key],
            numpy.frombuffer(offsets, numpy.uint64)[by_key],
            LabelNumbers(labels),
            self._scheme(labels, schemes),
        )
        self._check_repeated(index)
        return index

    def _lines(self) -> Iterator[Tuple[int, int, bytes]]:
        """With their numbers, from 1, and their offsets."""
        with self._opened() as file:
            offset = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
            file.seek(offset)
            lines = iter(lambda: file.readline(LONGEST_TEXT + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > LONGEST_TEXT:
                    raise too_long(self.name, line[:100].decode("utf-8", "replace"), number)
                yield number, offset, line
                offset += len(line)

    def _scheme(self, labels: List[str], schemes: SchemesInUse) -> Optional[str]:
        try:
            in_use = schemes.scheme()
        except MixedSchemes as error:
            if self._label_encoding is None:
                raise ConfigurationError(
                    f"teacher {self.name}: its tags are {error.message}: correct them, or say by "
                    '"label_encoding" what they are meant to be'
                ) from error
            in_use = None
        try:
            return stated_scheme(labels, self._label_encoding, in_use)
        except ConfigurationError as error:
            raise ConfigurationError(f"teacher {self.name}: {error.message}") from error

    def _check_repeated(self, index: _Index) -> None:
        """A sentence may come more than once, but with the same labels."""
        (again,) = numpy.nonzero(index.keys[1:] == index.keys[:-1])
        with self._opened() as file:
            for i in again.tolist():
                one, other = (self._line_at(file, int(index.offsets[j])) for j in (i, i + 1))
                scores = (
                    log_probabilities(x, index.numbers, self._confidence) for x in (one, other)
                )
                # Of different sentences with the same key nothing is asked.
                if one[:2] == other[:2] and not are_alike(*scores):
                    raise input_error(
                        self.name,
                        f"other labels for {quoted(' '.join(one.words))} than line "
                        f"{self._line_number(int(index.offsets[i]))} has",
                        "Leave one of them out",
                        self._line_number(int(index.offsets[i + 1])),
                    )

    def _line_number(self, offset: int) -> int:
        counted: Counter[str] = Counter(lines=1)
        with self._opened() as file:
            while offset > 0 and (block := file.read(min(offset, 1 << 20))):
                counted["lines"] += block.count(b"\n")
                offset -= len(block)
        return counted["lines"]


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine(
            f"the byte 0x{line[error.start]:02x} is not valid UTF-8", "Convert the file to UTF-8"
        ) from error


def _key(words: Sequence[str], language: Optional[str]) -> int:
    text = "\x1f".join((language or "", *words)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _ranges(keys: numpy.ndarray, sentence: Sentence) -> Iterator[Tuple[int, int]]:
    """Of the lines of a sentence: those that state its language first, then those without one."""
    for language in dict.fromkeys((sentence.language, None)):
        key = numpy.uint64(_key(sentence.words, language))
        low, high = (int(numpy.searchsorted(keys, key, side)) for side in ("left", "right"))
        yield low, high
