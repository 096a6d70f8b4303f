"""The files of an AllenNLP archive: whether they are whole, and unpacking them without trust."""

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Iterator, Optional, Union

from allennlp.common.checks import ConfigurationError
from allennlp.common.params import Params
from allennlp.models import Model, archival
from allennlp.models.archival import CONFIG_NAME, get_weights_path
from allennlp.models.model import _DEFAULT_WEIGHTS

# Weights hardly compress, so an archive of a model unpacks to little more than its own size. What
# is small may still be a bomb of no consequence.
_LARGEST_RATIO = 50
_ALWAYS_ALLOWED = 1 << 30
_MOST_MEMBERS = 10_000
# Of what tar writes before a member, such as a long name. `tarfile` reads that at once.
_LARGEST_READ = 1 << 20
# What files that `torch.save` made begin with: a zip file, or, before PyTorch 1.6, a pickle.
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


@contextmanager
def unpacked(archive: str) -> Iterator[Path]:
    """
    The directory of files that an archive of a model holds, for as long as the context lasts.

    # Parameters

    archive : `str`
        A `model.tar.gz`, or a serialization directory, which is its own.

    # Raises

    `ConfigurationError` for what `extracted_archive` refuses, for damaged weights, and for an
    archive that lacks the configuration, the vocabulary or the weights of a model.
    """
    check_layout(archive)
    if os.path.isdir(archive):
        check_weights(Path(get_weights_path(archive)))
        yield Path(archive)
        return
    with extracted_archive(archive) as directory:
        check_layout(directory)
        check_weights(Path(get_weights_path(directory)))
        yield Path(directory)


@contextmanager
def extracted_archive(
    resolved_archive_file: Union[str, PathLike], cleanup: bool = True
) -> Iterator[str]:
    """
    In place of AllenNLP's function of this name, which unpacks an archive without reading gzip's
    checksum, and writes members wherever they say.

    Here all of the archive is read before anything is written: its checksum and length, and every
    member's name, kind and size.

    # Parameters

    resolved_archive_file : `Union[str, PathLike]`
        A `model.tar.gz`.
    cleanup : `bool`, optional (default = `True`)
        Whether to delete the files when the context ends.

    # Returns

    The temporary directory with its files.

    # Raises

    `ConfigurationError` for an archive that is damaged, has members that could do harm (outside of
    the archive's own directory, links, devices, named pipes), or unpacks to more than 1 GiB and
    fifty times its own size.
    """
    archive = os.fspath(resolved_archive_file)
    check_layout(archive)
    directory = tempfile.mkdtemp()
    try:
        _extract(archive, directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    try:
        yield directory
    finally:
        if cleanup:
            shutil.rmtree(directory, ignore_errors=True)


def have_allennlp_check_archives() -> None:
    """
    From now on `load_archive`, and with it every command of AllenNLP's, unpacks archives by
    `extracted_archive` above.
    """
    archival.extracted_archive = extracted_archive


def check_layout(archive: str) -> None:
    """
    Checks that a path is a regular file, or a directory with all files of a model, without reading
    any of them.

    # Raises

    `ConfigurationError`
    """
    if not os.path.isdir(archive):
        if not stat.S_ISREG(os.stat(archive).st_mode):
            raise ConfigurationError("it is neither a regular file nor a directory")
        return
    directory = Path(archive)
    config, weights = directory / CONFIG_NAME, Path(get_weights_path(archive))
    vocabulary = directory / "vocabulary"
    for path, kind in ((config, "configuration"), (weights, "weights"), (vocabulary, "vocabulary")):
        if not path.exists():
            raise ConfigurationError(
                f"it has no {kind}, as there is no {path.name} in it: it must be the model.tar.gz "
                "of a finished training run, or the directory of one"
            )
    if not vocabulary.is_dir():
        raise ConfigurationError("its vocabulary is not a directory")
    for path in (config, weights, *vocabulary.iterdir()):
        if not path.is_file():
            raise ConfigurationError(f"its {path.name} is not a regular file")


def check_weights(path: Path) -> None:
    """
    Checks the checksums that `torch.save` writes and `torch.load` does not read.

    # Raises

    `ConfigurationError` for a file that is damaged or that `torch.save` did not write.
    """
    with path.open("rb") as file:
        if file.read(4).startswith(_PICKLE):
            # It has no checksums. (What it may execute, `torch.load` refuses.)
            return
    try:
        with zipfile.ZipFile(path) as records:
            # PyTorch stores its records uncompressed, one after the other. Others are a bomb.
            size = sum(record.file_size for record in records.infolist())
            if size > path.stat().st_size:
                damaged: Optional[str] = "its records are larger than the file"
            else:
                damaged = records.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        damaged = str(error)
    if damaged is not None:
        raise ConfigurationError(
            f"the weights {path.name} are damaged ({damaged}): copy them again from where they "
            "were made, or train the model again"
        )


class ChecksWeights:
    """
    A mixin for models that have the checksums of their weights checked before they load them: of
    those in a serialization directory, nobody else reads any.
    """

    @classmethod
    def _load(
        cls,
        config: Params,
        serialization_dir: Union[str, PathLike],
        weights_file: Optional[Union[str, PathLike]] = None,
        cuda_device: int = -1,
    ) -> Model:
        check_weights(Path(weights_file or Path(serialization_dir) / _DEFAULT_WEIGHTS))
        return super()._load(  # type: ignore[misc]
            config, serialization_dir, weights_file, cuda_device
        )


class _BoundedGzip(gzip.GzipFile):
    """
    Decompresses no more than what a model could take, holds little of it at a time, and only goes
    forward, whatever sizes a tar header claims.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, "rb")
        self._limit = max(_ALWAYS_ALLOWED, _LARGEST_RATIO * os.path.getsize(path))

    def read(self, size: Optional[int] = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError("a header of impossible size")
        data = super().read(size)
        self._check_limit(self.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            # `tarfile` steps back by one byte to see that the data before it exist.
            if offset < self.tell() - 1:
                raise tarfile.ReadError("a member of impossible size")
            self._check_limit(offset)
        return super().seek(offset, whence)

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise ConfigurationError(
                f"the archive unpacks to more than {self._limit:,} bytes, which is far too much "
                "for its own size, so it is not unpacked. If it is a model, unpack it yourself and "
                "name the directory instead"
            )


@contextmanager
def _open(archive: str) -> Iterator[tarfile.TarFile]:
    with _BoundedGzip(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        yield tar


def _extract(archive: str, directory: str) -> None:
    try:
        _check_members(archive, directory)
        with _open(archive) as tar:
            tar.extractall(directory, filter="data")
    except Exception as error:
        # A full disk is no damage. But of what is no tar file `tarfile` may say anything.
        of_the_disk = isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile)
        if of_the_disk or isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"the archive is damaged, or is not a tar.gz file ({error}): it must be the "
            "model.tar.gz of a finished training run; copy it again from where it was made, or "
            "train the model again"
        ) from error


def _check_members(archive: str, directory: str) -> None:
    """Reads the whole archive, and writes nothing."""
    with _open(archive) as tar:
        for count, member in enumerate(tar):
            if count == _MOST_MEMBERS:
                raise ConfigurationError(f"the archive has more than {_MOST_MEMBERS:,} members")
            kind = "a link" if member.issym() or member.islnk() else "a device or a named pipe"
            name = repr(member.name[:100])
            if not member.isreg() and not member.isdir():
                raise ConfigurationError(
                    f"the archive has a member that is {kind}, {name}: refused, as an archive "
                    "of a model is made of files. Have it from somebody you trust"
                )
            try:
                inside = not member.name.startswith(("/", "\\"))
                tarfile.data_filter(member, directory)
            except tarfile.FilterError:
                inside = False
            if not inside:
                raise ConfigurationError(
                    f"the archive has a member that would be written outside of it, {name}: "
                    "refused. Have it from somebody you trust"
                )
        # To the end, where gzip keeps the checksum of all that came before.
        assert tar.fileobj is not None
        while tar.fileobj.read(_LARGEST_READ):
            pass
