"""
Loading an archive that somebody else made. To AllenNLP an archive is a program: its configuration
may name any class of any installed package, which is then called with any arguments.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Set, Tuple, Type

from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path
from allennlp.models.archival import CONFIG_NAME, Archive, load_archive

from structkd_allennlp.common.archive_files import unpacked

_TRUSTED_PACKAGES = ("allennlp", "allennlp_models", "structkd_allennlp")
_LARGEST_CONFIG = 10_000_000


def load_untrusted_archive(archive: str) -> Archive:
    """
    `load_archive` for an archive, or a serialization directory, that is not trusted: nothing in it
    is run, and it is loaded only when all of it has been found whole (see `unpacked`).

    A `"type"` with a dot is the path of a class for AllenNLP. Here it has to be a kind of what is
    asked for there, such as a `Model`, from AllenNLP, allennlp-models, this package, or a module
    that has been imported already, as those are that `--include-package` or a plugin file names.

    # Raises

    `ConfigurationError` for an archive that `unpacked` refuses, whose configuration is not JSON or
    names another class, or which would have the Hugging Face Hub's code run.
    """
    with unpacked(archive) as directory, _trusted_types():
        _check_configuration(directory, {archive})
        return load_archive(directory)


def _check_configuration(directory: Path, seen: Set[str]) -> None:
    """Also of the archives that this one is built from, which AllenNLP is going to unpack."""
    for key, value in _items(_configuration(directory)):
        if key == "trust_remote_code" and value:
            raise ConfigurationError(
                f'its {CONFIG_NAME} has "trust_remote_code", which runs code from the Hugging Face '
                "Hub: refused"
            )
        # The key of "from_archive", of "_pretrained", and of embedders by language models.
        if key == "archive_file" and isinstance(value, str) and value not in seen:
            seen.add(value)
            with unpacked(cached_path(value)) as nested:
                _check_configuration(nested, seen)


def _items(config: Any) -> Iterator[Tuple[str, Any]]:
    """All keys, at any depth, with their values."""
    if isinstance(config, dict):
        yield from config.items()
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _items(value)


def _configuration(directory: Path) -> Any:
    """AllenNLP writes JSON, and reads Jsonnet, which may read files and the environment."""
    path = directory / CONFIG_NAME
    if path.stat().st_size > _LARGEST_CONFIG:
        raise ConfigurationError(f"its {CONFIG_NAME} has more than {_LARGEST_CONFIG:,} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"its {CONFIG_NAME} is not the JSON that AllenNLP writes: write it out as JSON"
        ) from error


@contextmanager
def _trusted_types() -> Iterator[None]:
    """For as long as it lasts, AllenNLP resolves no `"type"` to a class that is not trusted."""
    original = Registrable.__dict__["resolve_class_name"]

    def resolve(cls: Type[Registrable], name: str) -> Tuple[Any, Optional[str]]:
        if name in Registrable._registry[cls] or "." not in name:
            return original.__func__(cls, name)
        module = name.rpartition(".")[0]
        trusted = name.partition(".")[0] in _TRUSTED_PACKAGES or module in sys.modules
        found, constructor = original.__func__(cls, name) if trusted else (None, None)
        if not isinstance(found, type) or not issubclass(found, cls):
            raise ConfigurationError(
                f"its {CONFIG_NAME} names the type {name[:100]!r}, which is refused: it is not a "
                f"{cls.__name__} of {', '.join(_TRUSTED_PACKAGES)} or of a module that has been "
                "imported. If you trust it, import it with --include-package"
            )
        return found, constructor

    setattr(Registrable, "resolve_class_name", classmethod(resolve))  # noqa: B010
    try:
        yield
    finally:
        setattr(Registrable, "resolve_class_name", original)  # noqa: B010
