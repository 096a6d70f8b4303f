"""A worker that has teachers score sentences, on a machine that may see none of our files."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from allennlp.common.checks import ConfigurationError
from allennlp.common.plugins import import_plugins
from allennlp.common.util import import_module_and_submodules, int_to_device

from structkd_allennlp.common.packing import packed, unpack
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.stored_scores import Encoding
from structkd_allennlp.distillation.target_store import Entry, entries_of
from structkd_allennlp.distillation.teacher import Teacher, TeacherSource


class Scorer:
    """
    Loads each teacher once, when it is first asked for.

    # Parameters

    directory : `str`
        What paths are relative to, where this machine has it.
    gpu : `bool`
    packages : `Sequence[str]`
        With classes that are registered.
    encoding : `Encoding`
        Of the store.
    """

    def __init__(
        self, directory: str, gpu: bool, packages: Sequence[str], encoding: Encoding
    ) -> None:
        self._directory = directory
        self._packages = packages
        self._gpu = gpu
        self._encoding = encoding
        self._teachers: Dict[str, Teacher] = {}
        # Deleted with this.
        self._copies: List[Any] = []

    def ready(self) -> None:
        """Raises what is wrong with this machine."""
        if os.path.isdir(self._directory):
            os.chdir(self._directory)
        import_plugins()
        for package in ("structkd_allennlp.registrables", *self._packages):
            import_module_and_submodules(package)

    def score(
        self,
        digest: str,
        batches: Sequence[Sequence[Sentence]],
        source: Optional[TeacherSource] = None,
        files: Optional[bytes] = None,
    ) -> Optional[List[Entry]]:
        """
        # Parameters

        digest : `str`
            Of the teacher.
        batches : `Sequence[Sequence[Sentence]]`
        source : `TeacherSource`, optional
            The teacher, not loaded. It is needed once.
        files : `bytes`, optional
            What the source names, as `files_of`, where this machine does not see it.

        # Returns

        `Optional[List[Entry]]`
            Of all sentences; `None` where the source is needed, or its files.

        # Raises

        `ConfigurationError` for a teacher that cannot be loaded, or is another one with these
        files, and for scores that are none.
        """
        if digest not in self._teachers and not self._found(digest, source, files):
            return None
        teacher = self._teachers[digest]
        entries: List[Entry] = []
        for batch in batches:
            scores = zip(batch, teacher.computed(batch, self._device), strict=True)
            entries += entries_of(digest, scores, self._encoding, teacher.head().potentials)
        return entries

    @property
    def _device(self) -> Any:
        return int_to_device(0 if self._gpu else -1)

    def _found(self, digest: str, source: Optional[TeacherSource], files: Optional[bytes]) -> bool:
        if source is None:
            return False
        teacher = Teacher(
            source if files is None else source.at(self._unpacked(source.name, files))
        )
        try:
            found = teacher.digest == digest
        except (OSError, ConfigurationError):
            found = False
        if found:
            self._teachers[digest] = teacher
        elif files is not None:
            raise ConfigurationError(
                f"teacher {source.name} is another one on a worker: have all nodes see its files "
                "at the same place, or the same model of the Hugging Face Hub"
            )
        return found

    def _unpacked(self, name: str, files: bytes) -> str:
        copies = tempfile.TemporaryDirectory()
        self._copies.append(copies)
        path = Path(copies.name, os.path.basename(os.path.abspath(name)))
        if files:
            unpack(io.BytesIO(files), path)
        return str(path)


def files_of(source: TeacherSource) -> bytes:
    """The file or the directory that a source names, as `packed`; nothing where it is no path."""
    return b"".join(packed(Path(source.name))) if os.path.exists(source.name) else b""
