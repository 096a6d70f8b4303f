"""What a job of a suite reads, as far as its configuration says."""

import os
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Set, Tuple

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.corpus_paths import file_of, files_of
from structkd_allennlp.suite.node import SUITE_NAME
from structkd_allennlp.suite.process import Job

_PLUGINS = Path(".allennlp_plugins")
_THIS_PACKAGE = __name__.partition(".")[0]


def inputs_of(job: Job, directory: Path) -> Dict[str, Path]:
    """
    The files and directories that a job reads, by their paths in a copy of the working directory:
    archives of the suite, and whatever else exists of what its strings name, in any of the forms of
    `corpus_paths`, or imports from the working directory. Absolute paths of other files are not
    among them: these have to be there on every node.

    # Parameters

    job : `Job`
    directory : `Path`
        Of the suite. In the copy, it is `SUITE_NAME`.

    # Raises

    `ConfigurationError` for a relative path that leads out of the working directory.
    """
    found: Dict[str, Path] = {}
    others = {key: value for key, value in job.items() if key != "include_package"}
    for path in [*_named(others), *_imported(job["include_package"])]:
        if path.is_relative_to(directory):
            # Other than archives that is what the job writes.
            if path.is_file():
                found[str(SUITE_NAME / path.relative_to(directory))] = path
        elif not path.is_absolute():
            name = os.path.normpath(path)
            if name.startswith(os.pardir):
                raise ConfigurationError(
                    f"{path} is not in the working directory, {os.getcwd()}, so it cannot be "
                    "copied to nodes that do not see this directory: move it there, or have it on "
                    "every node and give its absolute path"
                )
            if name != os.curdir:
                found[name] = path
    # One within another comes with it.
    return {
        name: path
        for name, path in found.items()
        if not any(str(parent) in found for parent in Path(name).parents)
    }


def _named(job: Job) -> List[Path]:
    texts: Dict[str, None] = {}
    languages: Dict[str, None] = {}
    for key, text in _strings(job):
        (languages if key == "languages" else texts)[text] = None
    paths: List[Path] = []
    for text in texts:
        try:
            paths += (file_of(file.path) for file in files_of(text, list(languages)))
        except ConfigurationError:
            continue  # It was not meant to be a path.
    return [path for path in paths if path.exists()]


def _strings(value: Any, key: str = "") -> Iterator[Tuple[str, str]]:
    """All strings in JSON, each with the key of what it is in."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for own_key, own in value.items():
            yield from _strings(own, own_key)
    elif isinstance(value, (list, tuple)):
        for own in value:
            yield from _strings(own, key)


def _imported(packages: Iterable[str]) -> List[Path]:
    """The modules and packages that lie in the working directory, other than this package."""
    names: Set[str] = set(packages)
    paths: List[Path] = []
    if _PLUGINS.exists():
        paths.append(_PLUGINS)
        names |= set(_PLUGINS.read_text(encoding="utf-8").split())
    for name in {name.partition(".")[0] for name in names} - {_THIS_PACKAGE}:
        paths += (path for path in (Path(name), Path(f"{name}.py")) if path.exists())
    return paths
