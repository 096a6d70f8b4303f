"""The scores that teachers give to sentences, kept on disk."""

import hashlib
import json
import logging
import os
import socket
import struct
import zlib
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import lmdb
import numpy
import torch
from allennlp.common import FromParams
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.store_files import StoreFiles, damaged, open_store
from structkd_allennlp.distillation.stored_scores import (
    Encoding,
    Record,
    chain_of,
    is_distribution,
    size_at,
)
from structkd_allennlp.modules.tagger_chain import Potentials

logger = logging.getLogger(__name__)

# Of which the marginals are computed at once, padding included.
_TOKENS_A_BATCH = 4096
_CORRUPT = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError)
# Of a head, and of an entry of earlier versions: magic and version, CRC-32 of all that follows.
_FRAME = struct.Struct("<4sI")
_MAGIC = b"SKD1"
# Of the scores of a sentence in earlier versions: dtype character, length, labels.
_SHAPE = struct.Struct("<cII")
# Of an address, as much as no two sentences share by chance. The rest is in the checksum.
_KEY_SIZE = 12
_NUMBER = struct.Struct(">I")
# Where a record is: number of its block, offset in it.
_PLACE = struct.Struct("<II")

Entry = Tuple[bytes, bytes]
"""The address of a sentence of a teacher, and its record (see `Encoding.record`)."""


class Head(NamedTuple):
    """
    All of a teacher that does not depend on the sentence.

    # Parameters

    labels : `List[str]`
        In the order of its scores.
    encoding : `Optional[str]`
        What it declares them to be in, such as `"BIO"`.
    potentials : `Potentials`
        float32 on the CPU. What its constraints forbid is minus infinity; a teacher without
        transitions has zeros.
    """

    labels: List[str]
    encoding: Optional[str]
    potentials: Potentials


class TargetStore(FromParams):
    """
    A store on disk (LMDB) of the emission scores that teachers give to the words of a sentence, and
    of the teachers' transitions. Everything else, such as marginals, k-best paths and any
    temperature, is derived from these, so any objective and any student can use what another run
    has left.

    An entry is addressed by the teacher's digest, the language and the words. It carries a
    checksum: an entry that is damaged or foreign counts as missing, and is computed again. Writes
    are transactions, so a run that is killed leaves nothing half-written, and several processes may
    read and write at once. The file is read through the page cache; nothing is held in memory.

    # Parameters

    directory : `str`
        Made if it does not exist. `{host}` in it stands for the name of this machine: where several
        share a file system, each needs a store of its own, since LMDB does not lock out others.
    precision : `str`, optional (default = `"float32"`)
        Of the scores: `"float32"`, or `"float16"`, in half the space. Entries of higher precision
        are used; those of lower precision count as missing, and so it is with `top`.
    top : `int`, optional (default = all)
        For how many labels of a word, the most probable ones, to keep a score each. All others get
        one score (see `Encoding`).
    half_precision : `bool`, optional (default = `False`)
        An earlier name of `precision: "float16"`.

    # Raises

    `ConfigurationError` for a precision that there is not, and, when it is used, for a directory
    that cannot be used as a store.
    """

    def __init__(
        self,
        directory: str,
        precision: Optional[str] = None,
        top: Optional[int] = None,
        half_precision: bool = False,
    ) -> None:
        if half_precision and precision == "float32":
            raise ConfigurationError(
                'a target store has "half_precision": true and "precision": "float32": leave out '
                "the first"
            )
        self.directory = directory.replace("{host}", socket.gethostname())
        self._path = os.path.abspath(self.directory)
        usual = "float16" if half_precision else "float32"
        self.encoding = Encoding(precision or usual, top).checked()

    @property
    def _files(self) -> StoreFiles:
        # Not opened before it is used: a finished archive names a store that it does not need.
        return open_store(self._path)

    def head(self, teacher: str) -> Optional[Head]:
        """The head of the teacher with this digest, or `None`."""
        payload = self._framed(_address(teacher, "head", []))
        if payload is None:
            return None
        try:
            value = json.loads(payload)
            potentials = Potentials(*(torch.tensor(value[name]) for name in Potentials._fields))
            return Head(value["labels"], value["label_encoding"], potentials)
        except (ValueError, KeyError, TypeError):
            return None

    def put_head(self, teacher: str, head: Head) -> None:
        value: Dict[str, Any] = {"labels": head.labels, "label_encoding": head.encoding}
        value |= {name: tensor.tolist() for name, tensor in head.potentials._asdict().items()}
        payload = json.dumps(value).encode()
        with self._writing() as transaction:
            frame = _FRAME.pack(_MAGIC, zlib.crc32(payload))
            transaction.put(_address(teacher, "head", []), frame + payload)

    def get(self, teacher: str, sentence: Sentence, labels: int) -> Optional[numpy.ndarray]:
        """
        The emission scores `(length, labels)`, float32, that a teacher gives to a sentence, up to a
        constant a word; `None` where there are none.
        """
        words, language = sentence
        address, shape = _address(teacher, language, words), (len(words), labels)
        try:
            # Each microsecond counts here, and a generator's context is two.
            with self._files.environment.begin(buffers=True) as transaction:
                record = self._record(transaction, address)
                if record is not None:
                    if (record.length, record.labels) != shape or not record.serves(self.encoding):
                        return None
                    return record.scores()
        except lmdb.Error as error:
            raise damaged(self.directory, str(error)) from error
        payload = self._framed(address)
        return None if payload is None else self._scores_of_earlier_versions(payload, shape)

    def put(self, teacher: str, scores: Iterable[Tuple[Sentence, numpy.ndarray]]) -> None:
        """
        Stores the emission scores of sentences, all of them or none. A score of minus infinity is a
        label that is impossible.

        # Raises

        `ConfigurationError` for scores that are no distribution, such as NaN, and where the store
        cannot be written to.
        """
        head = None if self.encoding.top is None else self.head(teacher)
        self.add(entries_of(teacher, scores, self.encoding, head and head.potentials))

    def add(self, entries: Iterable[Entry]) -> None:
        """
        Stores entries, all of them or none, but for those that it has already, as others may have
        been quicker.

        # Raises

        `ConfigurationError` where the store cannot be written to.
        """
        with self._writing() as transaction:
            files, block, places = self._files, bytearray(), []
            cursor = transaction.cursor(files.blocks)
            number = _NUMBER.unpack(cursor.key())[0] + 1 if cursor.last() else 0
            for address, record in entries:
                new = Record.at(address, memoryview(record), 0)
                old = self._record(transaction, address)
                if old is None or new is None or not old.serves(new.encoding):
                    places.append((address[:_KEY_SIZE], _PLACE.pack(number, len(block))))
                    block += record
            if not places:
                return
            transaction.put(_NUMBER.pack(number), bytes(block), db=files.blocks, append=True)
            for key, place in places:
                transaction.put(key, place, db=files.index)

    def entries(self) -> Iterator[Tuple[bytes, bytes]]:
        """
        All entries that are not of earlier versions, by the first bytes of their addresses, in
        their order: what two stores of the same scores have in common.
        """
        files = self._files
        if files.index is None:
            return
        with self._reading() as transaction:
            for key, place in transaction.cursor(files.index):
                number, offset = _PLACE.unpack(place)
                block: Any = transaction.get(_NUMBER.pack(number), db=files.blocks)
                yield bytes(key), bytes(block[offset : offset + size_at(block, offset)])

    def size(self) -> int:
        """Bytes on disk."""
        stored = os.stat(os.path.join(self.directory, "data.mdb"))
        return stored.st_blocks * 512

    def _record(self, transaction: lmdb.Transaction, address: bytes) -> Optional[Record]:
        """Valid as long as the transaction."""
        files = self._files
        if files.index is None:
            return None
        place = transaction.get(address[:_KEY_SIZE], db=files.index)
        if place is None:
            return None
        if len(place) == _PLACE.size:
            number, offset = _PLACE.unpack(place)
            block: Any = transaction.get(_NUMBER.pack(number), db=files.blocks)
            record = None if block is None else Record.at(address, block, offset)
            if record is not None:
                return record
        self._warn()
        return None

    def _framed(self, address: bytes) -> Optional[bytes]:
        """What is in the main database, unpacked."""
        with self._reading() as transaction:
            value = transaction.get(address)
            if value is None:
                return None
            value = bytes(value)
        if len(value) >= _FRAME.size:
            magic, checksum = _FRAME.unpack_from(value)
            payload = value[_FRAME.size :]
            if magic == _MAGIC and checksum == zlib.crc32(payload):
                return payload
        self._warn()
        return None

    def _scores_of_earlier_versions(
        self, payload: bytes, shape: Tuple[int, int]
    ) -> Optional[numpy.ndarray]:
        if len(payload) < _SHAPE.size:
            return None
        kind, *own = _SHAPE.unpack_from(payload)
        if tuple(own) != shape or kind not in (b"e", b"f"):
            return None
        if kind == b"e" and self.encoding.precision == "float32":
            return None
        dtype = numpy.dtype(f"<{kind.decode()}")
        if len(payload) != _SHAPE.size + shape[0] * shape[1] * dtype.itemsize:
            return None
        scores = numpy.frombuffer(payload, dtype, offset=_SHAPE.size).astype(numpy.float32)
        scores = scores.reshape(shape)
        # They stored whatever a teacher said.
        return scores if is_distribution(scores) else None

    def _warn(self) -> None:
        logger.warning("%s: an entry is damaged; it will be computed again", self.directory)

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        try:
            with self._files.environment.begin(buffers=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise damaged(self.directory, str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        try:
            with self._files.environment.begin(write=True, buffers=True) as transaction:
                yield transaction
        except _CORRUPT as error:
            raise damaged(self.directory, str(error)) from error
        except lmdb.Error as error:
            raise ConfigurationError(
                f"cannot write to the target store {self.directory} ({error}): make room on its "
                "disk, or choose another directory that can be written to. What was stored before "
                "is whole"
            ) from error


def entries_of(
    teacher: str,
    scores: Iterable[Tuple[Sentence, numpy.ndarray]],
    encoding: Encoding,
    potentials: Optional[Potentials] = None,
) -> List[Entry]:
    """
    What a store keeps of the scores of sentences.

    # Parameters

    teacher : `str`
        Its digest.
    scores : `Iterable[Tuple[Sentence, numpy.ndarray]]`
    encoding : `Encoding`
    potentials : `Potentials`, optional
        Of the teacher, by which the most probable labels are told where not all are kept. Without
        them it is a softmax.

    # Raises

    `ConfigurationError` for scores that are no distribution.
    """
    pairs = list(scores)
    for (words, language), emissions in pairs:
        if not is_distribution(emissions):
            raise ConfigurationError(
                f"a teacher gives scores of NaN or infinity to the {language} sentence "
                f"{' '.join(words)[:100]!r}: they are no target. Check its weights, or train "
                "it again"
            )
    if encoding.top is None or potentials is None:
        return [_entry(teacher, *pair, encoding) for pair in pairs]
    entries = []
    for batch in by_length(pairs, lambda pair: len(pair[1]), _TOKENS_A_BATCH):
        log_marginals = chain_of(potentials, [own for _, own in batch]).log_marginals.numpy()
        for (sentence, own), row in zip(batch, log_marginals, strict=True):
            entries.append(_entry(teacher, sentence, own, encoding, row[: len(own)]))
    return entries


def _entry(
    teacher: str,
    sentence: Sentence,
    scores: numpy.ndarray,
    encoding: Encoding,
    log_marginals: Optional[numpy.ndarray] = None,
) -> Entry:
    address = _address(teacher, sentence.language, sentence.words)
    return address, encoding.record(address, scores, log_marginals)


def _address(teacher: str, language: Optional[str], words: Sequence[str]) -> bytes:
    parts = (teacher, language or "", *words)
    text = "\x1f".join(parts)
    if "\x1e" in text or text.count("\x1f") >= len(parts):
        # A word has the separator in it, or what stands for it.
        text = "\x1f".join(part.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
