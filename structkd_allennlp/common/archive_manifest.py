"""
What an archive has to hold, in the archive itself. AllenNLP unpacks an archive without reading its
checksum, and then calls the model's `_load`, which checks the files against this.
"""

import hashlib
from os import PathLike
from pathlib import Path
from typing import Dict, Optional, Union

from allennlp.common.checks import ConfigurationError
from allennlp.common.meta import META_NAME
from allennlp.common.params import Params
from allennlp.models import Model
from allennlp.models.archival import CONFIG_NAME
from allennlp.models.model import _DEFAULT_WEIGHTS

from structkd_allennlp.common.archive_files import MAKE_IT_AGAIN, check_weights
from structkd_allennlp.common.files import read_json, write_json

# AllenNLP archives all of the vocabulary's directory, and reads no hidden file of it. It comes
# before the rest of the vocabulary, so an archive that has lost it does not load.
MANIFEST = Path("vocabulary", ".manifest.json")


def write_manifest(directory: Path) -> None:
    """
    Writes the digests of the files that `archive_model` takes from a serialization directory, but
    for the weights, which have checksums of their own.
    """
    write_json(directory / MANIFEST, _digests(directory))


class ChecksArchive:
    """
    A mixin for models, whose loading it begins with a check of the files. An archive of before
    there were manifests has only its weights checked.

    # Raises

    `ConfigurationError` for a file that is missing, damaged, or was not there.
    """

    @classmethod
    def _load(
        cls,
        config: Params,
        serialization_dir: Union[str, PathLike],
        weights_file: Optional[Union[str, PathLike]] = None,
        cuda_device: int = -1,
    ) -> Model:
        directory = Path(serialization_dir)
        check_weights(Path(weights_file or directory / _DEFAULT_WEIGHTS))
        _check_manifest(directory)
        return super()._load(config, serialization_dir, weights_file, cuda_device)  # type: ignore[misc]


def _check_manifest(directory: Path) -> None:
    manifest = directory / MANIFEST
    if not manifest.exists():
        return
    try:
        archived = dict(read_json(manifest))
    except (ValueError, TypeError) as error:
        raise _damaged("its manifest cannot be read") from error
    found = _digests(directory)
    for name in sorted(archived.keys() | found.keys()):
        if archived.get(name) != found.get(name):
            raise _damaged(f"{name} is missing" if name not in found else f"{name} has changed")


def _damaged(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the archive is damaged ({what} since it was made): {MAKE_IT_AGAIN}. If you changed it on "
        f"purpose, delete {MANIFEST}"
    )


def _digests(directory: Path) -> Dict[str, str]:
    vocabulary = (directory / "vocabulary").glob("[!.]*")
    digests = {}
    for path in (directory / CONFIG_NAME, directory / META_NAME, *vocabulary):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            digests[path.relative_to(directory).as_posix()] = digest.hexdigest()
    return digests
