"""The scores of a sentence as bytes: how exactly, how many of them, and whether they are intact."""

import struct
import zlib
from typing import Any, Dict, NamedTuple, Optional, Sequence

import numpy
import torch
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.tagger_chain import Potentials

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
        Of how many labels a word the scores are kept, the most probable ones. All others get one
        score: that which would not change their probability together, nor that of any other label,
        if this were the only word. Where this would take no less space than all scores, or a label
        that is impossible would become possible, all scores are kept.

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

    def record(
        self,
        address: bytes,
        scores: numpy.ndarray,
        log_marginals: Optional[numpy.ndarray] = None,
    ) -> bytes:
        """
        What a store keeps under an address.

        # Parameters

        address : `bytes`
        scores : `numpy.ndarray`
            Of a sentence, `(length, labels)`, float32. Each word has a finite best score; minus
            infinity is a label that is impossible.
        log_marginals : `numpy.ndarray`, optional
            The logarithms of the probabilities, of the same shape, with transitions. Without them
            they are those of the scores alone.
        """
        relative = scores - scores.max(axis=1, keepdims=True)
        length, labels = relative.shape
        dtype = _DTYPES[self.precision]
        top = self.top or 0
        columns = None
        if top and top * (_index(labels).itemsize + dtype.itemsize) < labels * dtype.itemsize:
            likely = relative if log_marginals is None else log_marginals
            # Stable, so that the same scores are always the same bytes.
            order = numpy.argsort(-likely, axis=1, kind="stable")
            ranked, likely = (numpy.take_along_axis(x, order, axis=1) for x in (relative, likely))
            impossible = numpy.isneginf(ranked[:, top:])
            if (impossible.any(axis=1) == impossible.all(axis=1)).all():
                columns = order[:, :top].astype(_index(labels)).tobytes()
                # That of the first label is 0.
                rest = _shared(ranked[:, top:].astype(float), likely[:, top:].astype(float))
                relative = numpy.column_stack([ranked[:, 1:top], rest]) - ranked[:, :1]
        if columns is None:
            top, columns = 0, b""
        if dtype.itemsize < relative.itemsize:
            # What is merely unlikely must not become impossible.
            lowest = numpy.finfo(dtype).min
            relative = numpy.where(
                numpy.isneginf(relative), relative, relative.clip(lowest, -lowest)
            )
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


def _shared(scores: numpy.ndarray, log_marginals: numpy.ndarray) -> numpy.ndarray:
    """
    The one score, `(length,)`, in place of those of some labels, `(length, labels)`. What the other
    words say of a label is what its probability has beside its score.
    """
    with numpy.errstate(invalid="ignore"):
        others = numpy.where(numpy.isneginf(log_marginals), -numpy.inf, log_marginals - scores)
        shared = _log_sum(log_marginals) - _log_sum(others)
    # All of them are impossible here, so it does not matter.
    mean = _log_sum(scores) - numpy.log(scores.shape[1])
    found: numpy.ndarray = numpy.where(numpy.isfinite(shared), shared, mean)
    return found


def _log_sum(logarithms: numpy.ndarray) -> numpy.ndarray:
    best = logarithms.max(axis=1, keepdims=True)
    best = numpy.where(numpy.isneginf(best), 0, best)
    with numpy.errstate(divide="ignore"):
        total: numpy.ndarray = best[:, 0] + numpy.log(numpy.exp(logarithms - best).sum(axis=1))
    return total


def chain_of(potentials: Potentials, scores: Sequence[numpy.ndarray]) -> LinearChain:
    """The distribution that a teacher with these potentials and scores is, on the CPU."""
    lengths = torch.tensor([len(one) for one in scores])
    emissions = torch.zeros(len(scores), int(lengths.max()), scores[0].shape[1])
    for row, one in zip(emissions, scores, strict=True):
        row[: len(one)] = torch.from_numpy(one)
    mask = torch.arange(emissions.shape[1]) < lengths.unsqueeze(1)
    return LinearChain(emissions, potentials.transitions, mask, potentials.start, potentials.end)


def is_distribution(scores: numpy.ndarray) -> bool:
    """Whether each word has a best label, and a finite score of it."""
    # The sum of squares is finite where all scores are, as nearly always, and is had sooner.
    return bool(
        numpy.isfinite(numpy.vdot(scores, scores)) or numpy.isfinite(scores.max(axis=1)).all()
    )
