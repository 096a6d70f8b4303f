"""The scores of a sentence as bytes: how exactly, how many of them, and whether they are intact."""

import struct
import zlib
from typing import Any, Dict, NamedTuple, Optional

import numpy
from allennlp.common.checks import ConfigurationError

_Dtype = numpy.dtype[Any]
_DTYPES: Dict[str, _Dtype] = {"float32": numpy.dtype("<f4"), "float16": numpy.dtype("<f2")}
_KINDS: Dict[bytes, _Dtype] = {dtype.char.encode(): dtype for dtype in _DTYPES.values()}
# CRC-32 of the address and all that follows; kind of scores, labels, scores a word (0: of all
# labels), words.
_HEADER = struct.Struct("<IcHHI")
_CHECKSUM_SIZE = 4


class Encoding(NamedTuple):
    """
    How exactly scores are kept.

    # Parameters

    precision : `str`, optional (default = `"float32"`)
        Of a score: `"float32"` or `"float16"`. Scores are kept relative to the best label of the
        word, which does not change the distribution and keeps likely labels most exact.
    top : `int`, optional (default = `None`)
        Of how many labels a word the scores are kept, the best ones. All others get one score: that
        with which they have, together, the probability that they had, as far as emissions alone
        say. Where this would take no less space than all scores, or a label that is impossible
        would become possible, all scores are kept.

    # Raises

    `ConfigurationError` from `checked`, for what is none of these.
    """

    precision: str = "float32"
    top: Optional[int] = None

    def checked(self) -> "Encoding":
        if self.precision not in _DTYPES:
            raise ConfigurationError(
                f"precision of a target store must be one of {sorted(_DTYPES)}, not "
                f"{self.precision!r}"
            )
        if self.top is not None and self.top < 1:
            raise ConfigurationError(f"top of a target store must be 1 or more, not {self.top}")
        return self

    def record(self, address: bytes, scores: numpy.ndarray) -> bytes:
        """
        The scores of a sentence, `(length, labels)`, float32, as the store keeps them under an
        address. Each word has a finite best score; minus infinity is a label that is impossible.
        """
        relative = scores - scores.max(axis=1, keepdims=True)
        length, labels = relative.shape
        dtype = _DTYPES[self.precision]
        top = self.top or 0
        columns = None
        if top and top * (_index(labels).itemsize + dtype.itemsize) < labels * dtype.itemsize:
            # Stable, so that the same scores are always the same bytes.
            order = numpy.argsort(-relative, axis=1, kind="stable")
            ranked = numpy.take_along_axis(relative, order, axis=1)
            impossible = numpy.isneginf(ranked[:, top:])
            if (impossible.any(axis=1) == impossible.all(axis=1)).all():
                columns = order[:, :top].astype(_index(labels)).tobytes()
                # The best score is 0.
                relative = numpy.column_stack([ranked[:, 1:top], _log_mean(ranked[:, top:])])
        if columns is None:
            top, columns = 0, b""
        if dtype.itemsize < relative.itemsize:
            # What is merely unlikely must not become impossible.
            lowest = numpy.finfo(dtype).min
            relative = numpy.where(numpy.isneginf(relative), relative, relative.clip(lowest))
        shape = dtype.char.encode(), labels, top, length
        body: bytes = columns + relative.astype(dtype).tobytes()
        checksum = zlib.crc32(_HEADER.pack(0, *shape)[_CHECKSUM_SIZE:], zlib.crc32(address))
        return _HEADER.pack(zlib.crc32(body, checksum), *shape) + body


class Record(NamedTuple):
    """What `Encoding.record` made, with its parts still packed."""

    dtype: _Dtype
    labels: int
    top: int
    length: int
    packed: memoryview

    @classmethod
    def at(cls, address: bytes, block: memoryview, offset: int) -> Optional["Record"]:
        """The record at a place of a block; `None` where there is none of this address, intact."""
        if offset + _HEADER.size > len(block):
            return None
        checksum, kind, labels, top, length = _HEADER.unpack_from(block, offset)
        if kind not in _KINDS:
            return None
        dtype = _KINDS[kind]
        packed = block[offset : offset + _size(dtype, labels, top, length)]
        if zlib.crc32(packed[_CHECKSUM_SIZE:], zlib.crc32(address)) != checksum:
            return None
        return cls(dtype, labels, top, length, packed)

    def serves(self, encoding: Encoding) -> bool:
        """Whether these scores are at least as exact as what is asked for."""
        if self.dtype.itemsize < _DTYPES[encoding.precision].itemsize:
            return False
        return not self.top or (encoding.top is not None and self.top >= encoding.top)

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.dtype.name, self.top or None)

    def scores(self) -> numpy.ndarray:
        """The scores, `(length, labels)`, float32: a copy."""
        if not self.top:
            scores = numpy.frombuffer(self.packed, self.dtype, offset=_HEADER.size)
            return scores.astype(numpy.float32).reshape(self.length, self.labels)
        index, shape = _index(self.labels), (self.length, self.top)
        count = self.length * self.top
        columns = numpy.frombuffer(self.packed, index, count, _HEADER.size).reshape(shape)
        kept = numpy.frombuffer(
            self.packed, self.dtype, count, _HEADER.size + count * index.itemsize
        )
        kept = kept.astype(numpy.float32).reshape(shape)
        scores = numpy.repeat(kept[:, -1:], self.labels, axis=1)
        rows = numpy.arange(self.length)
        scores[rows, columns[:, 0]] = 0
        scores[rows[:, None], columns[:, 1:]] = kept[:, :-1]
        return scores


def size_at(block: memoryview, offset: int) -> int:
    """Of an intact record, in bytes."""
    _, kind, *shape = _HEADER.unpack_from(block, offset)
    return _size(_KINDS[kind], *shape)


def _size(dtype: _Dtype, labels: int, top: int, length: int) -> int:
    word = top * (_index(labels).itemsize + dtype.itemsize) if top else labels * dtype.itemsize
    return _HEADER.size + length * word


def _index(labels: int) -> _Dtype:
    return numpy.dtype("<u1" if labels <= 256 else "<u2")


def _log_mean(scores: numpy.ndarray) -> numpy.ndarray:
    """The logarithm of the mean of the exponentials, by row; rows are sorted, the best first."""
    best = numpy.where(numpy.isneginf(scores[:, :1]), 0, scores[:, :1])
    with numpy.errstate(divide="ignore"):
        means: numpy.ndarray = best[:, 0] + numpy.log(numpy.exp(scores - best).mean(axis=1))
        return means


def is_distribution(scores: numpy.ndarray) -> bool:
    """Whether each word has a best label, and a finite score of it."""
    # The sum of squares is finite where all scores are, as nearly always, and is had sooner.
    return bool(
        numpy.isfinite(numpy.vdot(scores, scores)) or numpy.isfinite(scores.max(axis=1)).all()
    )
