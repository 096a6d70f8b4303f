"""The scores that teachers give to sentences, kept on disk."""

import functools
import hashlib
import json
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import lmdb
import numpy
import torch
from allennlp.common import FromParams
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.modules.tagger_chain import Potentials

logger = logging.getLogger(__name__)

# Address space, not disk: LMDB's file grows with what is in it.
_MAP_SIZE = 1 << 40
# How many processes may read at once. (LMDB's default of 126 is soon used up by ones that were
# killed, until somebody clears them away.)
_MAX_READERS = 1024
# Of an entry: magic and version, CRC-32 of all that follows.
_FRAME = struct.Struct("<4sI")
_MAGIC = b"SKD1"
# Of the scores of a sentence: dtype character, length, labels.
_SHAPE = struct.Struct("<cII")


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
        Made if it does not exist.
    half_precision : `bool`, optional (default = `False`)
        Whether to keep scores in float16, in half the space. They are stored relative to the best
        label of the word, which does not change the distribution and keeps likely labels most
        exact. Entries of higher precision are used; those of lower precision count as missing.

    # Raises

    `ConfigurationError` for a directory that cannot be used as a store.
    """

    def __init__(self, directory: str, half_precision: bool = False) -> None:
        self.directory = directory
        self.half_precision = half_precision

    @property
    def _environment(self) -> lmdb.Environment:
        # Not opened before it is used: a finished archive names a store that it does not need.
        return _open(os.path.abspath(self.directory))

    def head(self, teacher: str) -> Optional[Head]:
        """The head of the teacher with this digest, or `None`."""
        payload = self._get(_key(teacher, "head", []))
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
        self._put([(_key(teacher, "head", []), json.dumps(value).encode())])

    def get(self, teacher: str, sentence: Sentence, labels: int) -> Optional[numpy.ndarray]:
        """
        The emission scores `(length, labels)`, float32, that a teacher gives to a sentence, up to a
        constant a word; `None` where there are none.
        """
        words, language = sentence
        payload = self._get(_key(teacher, language, words))
        if payload is None or len(payload) < _SHAPE.size:
            return None
        kind, length, width = _SHAPE.unpack_from(payload)
        if (length, width) != (len(words), labels) or kind not in (b"e", b"f"):
            return None
        if kind == b"e" and not self.half_precision:
            return None
        dtype = numpy.dtype(f"<{kind.decode()}")
        if len(payload) != _SHAPE.size + length * width * dtype.itemsize:
            return None
        scores = numpy.frombuffer(payload, dtype, offset=_SHAPE.size).astype(numpy.float32)
        scores = scores.reshape(length, width)
        # Earlier versions stored whatever a teacher said.
        return scores if _is_distribution(scores) else None

    def put(self, teacher: str, scores: Iterable[Tuple[Sentence, numpy.ndarray]]) -> None:
        """
        Stores the emission scores of sentences, all of them or none. A score of minus infinity is a
        label that is impossible.

        # Raises

        `ConfigurationError` for scores that are no distribution, such as NaN, and where the store
        cannot be written to.
        """
        dtype = numpy.dtype("<f2" if self.half_precision else "<f4")
        items = []
        for (words, language), emissions in scores:
            if not _is_distribution(emissions):
                raise ConfigurationError(
                    f"a teacher gives scores of NaN or infinity to the {language} sentence "
                    f"{' '.join(words)[:100]!r}: they are no target. Check its weights, or train "
                    "it again"
                )
            relative = emissions - emissions.max(axis=1, keepdims=True)
            length, width = relative.shape
            if self.half_precision:
                # What is merely unlikely must not become impossible.
                lowest = numpy.finfo(dtype).min
                relative = numpy.where(numpy.isneginf(relative), relative, relative.clip(lowest))
            shape = _SHAPE.pack(dtype.char.encode(), length, width)
            payload = shape + relative.astype(dtype).tobytes()
            items.append((_key(teacher, language, words), payload))
        self._put(items)

    def size(self) -> int:
        """Bytes on disk."""
        stored = os.stat(os.path.join(self.directory, "data.mdb"))
        return stored.st_blocks * 512

    def _get(self, key: bytes) -> Optional[bytes]:
        try:
            with self._environment.begin() as transaction:
                value = transaction.get(key)
        except lmdb.Error as error:
            raise _damaged(self.directory, str(error)) from error
        if value is None:
            return None
        if len(value) >= _FRAME.size:
            magic, checksum = _FRAME.unpack_from(value)
            payload = value[_FRAME.size :]
            if magic == _MAGIC and checksum == zlib.crc32(payload):
                return payload
        logger.warning("%s: an entry is damaged; it will be computed again", self.directory)
        return None

    def _put(self, items: Iterable[Tuple[bytes, bytes]]) -> None:
        try:
            with self._environment.begin(write=True) as transaction:
                for key, payload in items:
                    transaction.put(key, _FRAME.pack(_MAGIC, zlib.crc32(payload)) + payload)
        except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError) as error:
            raise _damaged(self.directory, str(error)) from error
        except lmdb.Error as error:
            raise ConfigurationError(
                f"cannot write to the target store {self.directory} ({error}): make room on its "
                "disk, or choose another directory that can be written to. What was stored before "
                "is whole"
            ) from error


def _is_distribution(scores: numpy.ndarray) -> bool:
    """Whether each word has a best label, and a finite score of it."""
    # The sum of squares is finite where all scores are, as nearly always, and is had sooner.
    return bool(
        numpy.isfinite(numpy.vdot(scores, scores)) or numpy.isfinite(scores.max(axis=1)).all()
    )


def _key(teacher: str, language: Optional[str], words: Sequence[str]) -> bytes:
    parts = (teacher, language or "", *words)
    text = "\x1f".join(parts)
    if "\x1e" in text or text.count("\x1f") >= len(parts):
        # A word has the separator in it, or what stands for it.
        text = "\x1f".join(part.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()


@functools.cache
def _open(directory: str) -> lmdb.Environment:
    """LMDB lets a process open an environment once, so all stores of a directory share it."""
    data = Path(directory, "data.mdb")
    options: Dict[str, Any] = {"map_size": _MAP_SIZE, "readahead": False, "meminit": False}
    try:
        os.makedirs(directory, exist_ok=True)
        if data.exists() and not os.access(directory, os.W_OK):
            # Without a lock file there is nobody to lock out: nobody can write.
            options |= {"readonly": True, "lock": False}
        environment = lmdb.open(directory, max_readers=_MAX_READERS, **options)
        # Processes that were killed leave their entries in the table of readers.
        environment.reader_check()
    except (lmdb.Error, OSError) as error:
        raise ConfigurationError(
            f"{directory} cannot be used as a target store ({error}): choose a directory that can "
            "be written to, or delete this one if it is damaged; targets are computed again"
        ) from error
    # The number of the last page in use, which lies in the file's first pages.
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    there = data.stat().st_size
    if there < needed:
        environment.close()
        # Reading what is not there would end the process (SIGBUS).
        raise _damaged(directory, f"{there} bytes of {needed} are there")
    return environment


def _damaged(directory: str, how: str) -> ConfigurationError:
    return ConfigurationError(
        f"the target store {directory} is damaged ({how}): delete the directory; its targets are "
        "computed again"
    )
