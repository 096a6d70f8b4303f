"""Files that several machines see: by path, or by what `pyarrow.fs` opens, `s3://bucket/name`."""

import importlib
import io
import os
import posixpath
import uuid
from contextlib import contextmanager
from typing import Any, BinaryIO, Iterator, NamedTuple, Set, Tuple, cast

_TEMPORARY = "_temporary"
"""Readers of directories, such as those of Spark and Arrow, pass over what begins like this."""


class Found(NamedTuple):
    """What is known of a file: its size in bytes, and nanoseconds since 1970."""

    size: int
    modified: int


def pyarrow_module(name: str) -> Any:
    """
    # Raises

    `ValueError` where pyarrow is not installed.
    """
    try:
        return importlib.import_module(f"pyarrow.{name}")
    except ImportError as error:
        raise ValueError(
            "Parquet and URIs need pyarrow: pip install --no-deps -r requirements-cluster.txt"
        ) from error


def is_uri(path: str) -> bool:
    return "://" in path


def absolute(path: str) -> str:
    """The same file for a process with another working directory."""
    return path if is_uri(path) else os.path.abspath(path)


def found(path: str) -> Found:
    """
    # Raises

    `OSError` where there is no such file.
    """
    if not is_uri(path):
        stat = os.stat(path)
        return Found(stat.st_size, stat.st_mtime_ns)
    filesystem, inner = _resolved(path)
    info = filesystem.get_file_info(inner)
    if not info.is_file:
        raise FileNotFoundError(2, "no such file")
    return Found(info.size, info.mtime_ns or 0)


def open_binary(path: str) -> io.BufferedReader:
    if not is_uri(path):
        return open(path, "rb")
    filesystem, inner = _resolved(path)
    return io.BufferedReader(cast(Any, filesystem.open_input_file(inner)), 1 << 20)


class OutputDirectory:
    """
    A directory whose files are there whole, or not at all.

    # Parameters

    path : `str`
        What it does not contain yet is made when it is first written to.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._filesystem, self._inner = _resolved(path)

    def names(self) -> Set[str]:
        """Of what is in it and whole; none where it is not there."""
        fs = pyarrow_module("fs")
        selector = fs.FileSelector(self._inner, allow_not_found=True)
        found = {info.base_name for info in self._filesystem.get_file_info(selector)}
        return found - {_TEMPORARY}

    def has(self, name: str) -> bool:
        path = posixpath.join(self._inner, name)
        return cast(bool, self._filesystem.get_file_info(path).is_file)

    def read(self, name: str) -> bytes:
        with self._filesystem.open_input_stream(posixpath.join(self._inner, name)) as stream:
            return cast(bytes, stream.read())

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """
        A stream whose file takes its name when the block ends without an error. Of several
        processes that write the same file at once, the last one's stays.
        """
        temporary = posixpath.join(self._inner, _TEMPORARY)
        self._filesystem.create_dir(temporary, recursive=True)
        own = posixpath.join(temporary, f"{name}.{uuid.uuid4().hex}")
        try:
            with self._filesystem.open_output_stream(own) as stream:
                yield stream
            self._keep(own)
            self._filesystem.move(own, posixpath.join(self._inner, name))
        except BaseException:
            if self._filesystem.get_file_info(own).is_file:
                self._filesystem.delete_file(own)
            raise

    def _keep(self, path: str) -> None:
        """Renamed before it is on the disk, a file may be empty after a power failure."""
        if isinstance(self._filesystem, pyarrow_module("fs").LocalFileSystem):
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def write(self, name: str, content: bytes) -> None:
        with self.writing(name) as stream:
            stream.write(content)

    def tidy(self) -> None:
        """Removes what processes that were ended have left."""
        path = posixpath.join(self._inner, _TEMPORARY)
        if self._filesystem.get_file_info(path).type == pyarrow_module("fs").FileType.Directory:
            self._filesystem.delete_dir(path)


def _resolved(path: str) -> Tuple[Any, str]:
    fs = pyarrow_module("fs")
    if not is_uri(path):
        return fs.LocalFileSystem(), path
    try:
        filesystem, inner = fs.FileSystem.from_uri(path)
    except ValueError as error:
        # ArrowInvalid is one.
        raise ValueError(f"{path}: {error}") from error
    return filesystem, inner.rstrip("/")
