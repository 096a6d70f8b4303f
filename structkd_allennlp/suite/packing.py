"""
Files of a suite on their way to and from machines that do not see its directories: as `tar` has
them, with the files that links point to in the place of these.
"""

import io
import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Iterator, Optional

from structkd_allennlp.common.files import whole_directory, write_bytes
from structkd_allennlp.suite.files import revisions_file

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


@dataclass(frozen=True)
class PackedRun:
    """
    A finished run. Checkpoints are left out, which nobody needs beside the archive.

    # Parameters

    content : `bytes`
        Of its directory.
    revisions : `bytes`, optional
        Of the file that lies beside it.
    """

    content: bytes
    revisions: Optional[bytes]

    @classmethod
    def of(cls, directory: Path) -> "PackedRun":
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
            tar.add(directory, ".", filter=lambda x: None if x.name.endswith(".th") else x)
        revisions = revisions_file(directory)
        return cls(file.getvalue(), revisions.read_bytes() if revisions.exists() else None)

    def unpack(self, directory: Path) -> None:
        """Puts the run in the place of whatever is there."""
        with whole_directory(directory) as new:
            with tarfile.open(fileobj=io.BytesIO(self.content)) as tar:
                tar.extractall(new, filter="data")
            if self.revisions is not None:
                write_bytes(revisions_file(directory), self.revisions)
