"""How much of a file the dataset readers of an archive read."""

import json
import logging
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, Union

from allennlp.common.file_utils import cached_path
from allennlp.common.params import parse_overrides
from allennlp.models.archival import CONFIG_NAME

logger = logging.getLogger(__name__)

_LIMIT = "max_instances"


def without_limits(
    archive: Union[str, os.PathLike], overrides: Union[str, Dict[str, Any]] = ""
) -> str:
    """
    Overrides for `load_archive` with which the dataset readers read all of a file. The
    `max_instances` in an archive's configuration is one of the training; only those in `overrides`
    are kept.

    # Parameters

    archive : `Union[str, os.PathLike]`
        A `model.tar.gz`, or a serialization directory.
    overrides : `Union[str, Dict[str, Any]]`, optional (default = `""`)

    # Returns

    `str` : JSON of these and others.
    """
    given = parse_overrides(overrides) if isinstance(overrides, str) else overrides
    limits: Dict[str, Any] = {}
    for reader in ("dataset_reader", "validation_dataset_reader"):
        for place in _limits(_configuration(archive).get(reader), reader):
            # What is set above it goes with all that is below.
            if not any(place == own or place.startswith(f"{own}.") for own in given):
                limits[place] = None
    if limits:
        logger.info("all sentences are read, whatever the training had as %s", ", ".join(limits))
    return json.dumps({**given, **limits})


def _configuration(archive: Union[str, os.PathLike]) -> Dict[str, Any]:
    """Empty where it cannot be read. Whoever loads the archive says so."""
    path = cached_path(archive)
    try:
        if os.path.isdir(path):
            return json.loads(Path(path, CONFIG_NAME).read_bytes())
        with tarfile.open(path, "r:gz") as tar:
            file = tar.extractfile(CONFIG_NAME)
            return {} if file is None else json.load(file)
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error):
        return {}


def _limits(config: Any, place: str) -> Iterator[str]:
    """Where there is one, as overrides spell it."""
    if isinstance(config, list):
        config = dict(enumerate(config))
    if isinstance(config, dict):
        for key, value in config.items():
            if key == _LIMIT and value is not None:
                yield f"{place}.{key}"
            else:
                yield from _limits(value, f"{place}.{key}")
