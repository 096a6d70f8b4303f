"""Exported taggers that are damaged, or of another time."""

import json
import shutil

import pytest

from structkd_allennlp.serving import Tagger
from structkd_allennlp.serving.model_directory import DESCRIPTION


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def change(directory, **values):
    path = directory / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_description_that_is_changed(copy):
    change(copy)
    Tagger.load(copy)
    change(copy, boundaries=None)
    with pytest.raises(ValueError, match="has been changed"):
        Tagger.load(copy)


def test_no_directory(tmp_path):
    with pytest.raises(ValueError, match="no such directory"):
        Tagger.load(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no tagger\.json in it"):
        Tagger.load(tmp_path)


def test_another_format(copy):
    change(copy, format=99)
    with pytest.raises(ValueError, match="format 99"):
        Tagger.load(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "{"])
def test_a_description_that_is_none(copy, content):
    (copy / DESCRIPTION).write_text(content)
    with pytest.raises(ValueError, match="is damaged"):
        Tagger.load(copy)


@pytest.mark.parametrize("name", ["model.onnx", "vocabulary.json.gz", "README.md"])
def test_files_that_are_changed_or_missing(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged or has been changed"):
        Tagger.load(copy)
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"lacks its {name}"):
        Tagger.load(copy)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads(exported, threads):
    with pytest.raises(ValueError, match="threads"):
        Tagger.load(exported, threads=threads)
