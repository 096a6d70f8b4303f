"""Parts of the input that are tagged one by one, each into a file of its own."""

from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from structkd_allennlp.serving.file_systems import absolute, found, open_binary
from structkd_allennlp.serving.input_files import GZIP, InputError, InputFile, Source
from structkd_allennlp.serving.parquet import PARQUET, ParquetFile, groups_of

PART_BYTES = 4_000_000
"""
About 40,000 sentences of text: a minute or less on a core, which is what is lost with a node. It is
the same for every cluster, so that a job can go on in another.
"""

_IN_LINES = ("text", "jsonl")
"""Formats that can be cut at the end of any line."""


class Piece(NamedTuple):
    """
    A file, or a piece of one.

    # Parameters

    path : `str`
        As all machines know it.
    name : `str`
        As it was given, for messages.
    form : `str`
        As `--from` names it.
    file_size : `int`
        In bytes, of the whole file.
    size : `int`
        In bytes, about.
    start, end : `int`, optional
        The bytes that its lines begin in, or its row groups.
    """

    path: str
    name: str
    form: str
    file_size: int
    size: int
    start: int = 0
    end: Optional[int] = None

    def source(self) -> Source:
        """
        # Raises

        `InputError` where the file is not what it was when the parts were made.
        """
        try:
            size = found(self.path).size
        except OSError as error:
            raise InputError(
                f"{self.name} is not there ({self.path}): the files must be on a path that all "
                "nodes see, or at a URI such as s3://bucket/name"
            ) from error
        if size != self.file_size:
            raise InputError(
                f"{self.name} has {size:,} bytes here, and {self.file_size:,} where the command "
                f"was started ({self.path}): all nodes must see the same file, and nobody may "
                "change it meanwhile"
            )
        kind = ParquetFile if self.form == PARQUET else InputFile
        return kind(self.path, self.name, self.start, self.end)


class InputStamp(NamedTuple):
    """By which to know a file again: its modification is in nanoseconds since 1970."""

    path: str
    form: str
    size: int
    modified: int


def stamps_of(names: Sequence[str], forms: Sequence[str]) -> List[InputStamp]:
    """
    # Raises

    `InputError` where there is no such file.
    """
    stamps = []
    for name, form in zip(names, forms, strict=True):
        path = absolute(name)
        try:
            stamps.append(InputStamp(path, form, *found(path)))
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error
    return stamps


def plan(names: Sequence[str], stamps: Sequence[InputStamp], most: int) -> List[List[Piece]]:
    """
    Cuts files into parts, of which each holds what follows on the one before: large files at the
    ends of lines or between row groups, as far as they can be cut, and small ones together.

    # Parameters

    most : `int`
        In bytes, of a part, where it is more than one piece.
    """
    parts: List[List[Piece]] = []
    room = 0
    for name, stamp in zip(names, stamps, strict=True):
        for piece in _pieces(name, stamp, most):
            if not parts or piece.size > room:
                parts.append([])
                room = most
            parts[-1].append(piece)
            room -= piece.size
    return parts


def _pieces(name: str, stamp: InputStamp, most: int) -> Iterator[Piece]:
    whole = Piece(stamp.path, name, stamp.form, stamp.size, stamp.size)
    bounds: Iterable[Tuple[int, int, int]]
    try:
        if stamp.form == PARQUET:
            bounds = _groups(groups_of(stamp.path), most)
        elif stamp.form in _IN_LINES and stamp.size > most and not _is_packed(stamp.path):
            # However a file is cut, its lines are found.
            starts = range(0, stamp.size, most)
            ends = (min(start + most, stamp.size) for start in starts)
            bounds = ((start, end, end - start) for start, end in zip(starts, ends, strict=True))
        else:
            return iter([whole])
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({error})") from error
    return (whole._replace(start=start, end=end, size=size) for start, end, size in bounds)


def _is_packed(path: str) -> bool:
    with open_binary(path) as stream:
        return stream.peek(len(GZIP))[: len(GZIP)] == GZIP


def _groups(sizes: Sequence[int], most: int) -> Iterator[Tuple[int, int, int]]:
    """Runs of row groups: the first, that after the last, and the size."""
    start = size = 0
    for number, own in enumerate(sizes):
        if number > start and size + own > most:
            yield start, number, size
            start, size = number, 0
        size += own
    if sizes:
        yield start, len(sizes), size
