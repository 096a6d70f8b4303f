"""The directory that an exported tagger is."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any, Dict, NamedTuple

import orjson

from structkd_allennlp.common.files import read_json, write_bytes

FORMAT = 3

DESCRIPTION = "tagger.json"
GRAPH = "model.onnx"
WORD_GRAPH = "words.onnx"
VOCABULARY = "vocabulary.json.gz"
WORD_RULES = "word-rules.json.gz"
CARD = "README.md"

_AGAIN = "export it again with `allennlp export-tagger`, or copy it again from where it was made"


class ModelDirectory(NamedTuple):
    """
    # Parameters

    path : `Path`
    description : `Dict[str, Any]`
        What `tagger.json` holds.
    """

    path: Path
    description: Dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "ModelDirectory":
        """
        # Raises

        `ValueError` for what is no exported tagger, has another format, or is damaged.
        """
        if not (path / DESCRIPTION).is_file():
            what = "no such directory" if not path.exists() else f"there is no {DESCRIPTION} in it"
            raise ValueError(
                f"{path} is not an exported tagger ({what}): name the directory that "
                "`allennlp export-tagger` has written"
            )
        try:
            description = read_json(path / DESCRIPTION)
            version, digests, own = (description[key] for key in ("format", "digests", "digest"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path / DESCRIPTION} is damaged ({error!r}): {_AGAIN}") from error
        if version != FORMAT:
            raise ValueError(
                f"{path} has the format {version!r}, and this version of structkd_allennlp reads "
                f"{FORMAT}: install the version that it was written with, or export it again"
            )
        if digest_of_description(description) != own:
            raise ValueError(f"{path / DESCRIPTION} is damaged or has been changed: {_AGAIN}")
        for name, digest in digests.items():
            if not (path / name).is_file():
                raise ValueError(f"{path} lacks its {name}: {_AGAIN}")
            if sha256(path / name) != digest:
                raise ValueError(
                    f"{path / name} is damaged or has been changed, as its SHA-256 is not that of "
                    f"{DESCRIPTION}: {_AGAIN}"
                )
        return cls(path, description)

    def size(self) -> int:
        """In bytes, of all its files."""
        return sum(file.stat().st_size for file in self.path.iterdir())


def read_packed(path: Path) -> Any:
    return orjson.loads(gzip.decompress(path.read_bytes()))


def write_packed(path: Path, value: Any) -> None:
    """The same bytes for the same value. Words of a vocabulary take half, rules a tenth."""
    content = json.dumps(value, ensure_ascii=False).encode()
    write_bytes(path, gzip.compress(content, mtime=0))


def digest_of_description(description: Dict[str, Any]) -> str:
    """The SHA-256 of all but its own `digest`."""
    rest = {key: value for key, value in description.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
