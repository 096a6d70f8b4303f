"""Files are written whole or not at all."""

import os

import pytest

from structkd_allennlp.common.files import read_json, write_json


def test_files(tmp_path):
    path = tmp_path / "new" / "run.json"
    write_json(path, {"é": [1.5, None]})
    assert read_json(path) == {"é": [1.5, None]}
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == {"é": [1.5, None]}
    assert os.listdir(path.parent) == ["run.json"]
