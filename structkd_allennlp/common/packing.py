"""
Files on their way to and from machines that do not see them: as `tar` has them, with the files that
links point to in the place of these.
"""

import os
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Iterator

_BLOCK = 1 << 26
_CONTENT = "content"


def packed(path: Path) -> Iterator[bytes]:
    """A file, or a directory with all that is in it, in blocks of at most 64 MiB."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
            tar.add(path, _CONTENT)
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block


def unpack(file: IO[bytes], path: Path) -> None:
    """
    Makes what the blocks in `file` are of, whole or not at all. Where there is something already,
    such as by another process, that stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        with tarfile.open(fileobj=file) as tar:
            tar.extractall(temporary, filter="data")
        if not path.exists():
            try:
                os.rename(Path(temporary, _CONTENT), path)
            except OSError:
                # A directory that came just now.
                if not path.exists():
                    raise
