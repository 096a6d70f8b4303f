"""Readers and files for the tests of several languages."""

from copy import deepcopy
from typing import Any, List

from allennlp.common import Params
from allennlp.data import DatasetReader

from structkd_allennlp.data import MultilingualReader
from tests.data import FIXTURES

CONLL = str(FIXTURES / "conll" / "{language}" / "train.txt")

# Of the fixture `two`.
TWO = ["en:w0", "es:w0", "en:w1", "es:w1", "es:w2", "es:w3"]


def make(**params: Any) -> MultilingualReader:
    reader = DatasetReader.from_params(Params(deepcopy({"type": "multilingual", **params})))
    assert isinstance(reader, MultilingualReader)
    return reader


def write(path, n: int, name: str = "w", wikiann: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{wikiann}:{{}}\tO\n\n" if wikiann else "{} O\n\n"
    path.write_text("".join(row.format(f"{name}{i}") for i in range(n)))
    return str(path)


def read(reader: MultilingualReader, path: Any) -> List[str]:
    """`language:word` of the first word of each instance."""
    return [
        f"{instance['metadata']['language']}:{instance['metadata']['words'][0]}"  # type: ignore[index]
        for instance in reader.read(path)
    ]
