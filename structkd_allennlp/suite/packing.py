"""The runs of a suite on their way to and from machines that do not see its directories."""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from structkd_allennlp.common.files import whole_directory, write_bytes
from structkd_allennlp.suite.files import revisions_file


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
