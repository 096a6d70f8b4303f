"""Evaluation and prediction read all of a file, whatever the training read of its own."""

import json
import sys
import tarfile

import pytest
from allennlp.commands import main
from allennlp.models.archival import load_archive

from structkd_allennlp.common.reading_limits import without_limits
from structkd_allennlp.suite import worker

TEACHER = "fixtures/teachers/en.tar.gz"
DEV = "fixtures/conll/en/dev.txt"
ALL = 15


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """What the archive of a model whose training was limited holds."""
    directory = tmp_path_factory.mktemp("model")
    with tarfile.open(TEACHER) as archive:
        archive.extractall(directory, filter="data")
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["dataset_reader"]["max_instances"] = 9
    config["dataset_reader"]["reader"]["max_instances"] = 6
    path.write_text(json.dumps(config))
    return directory


@pytest.fixture(scope="module")
def archive(directory, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member in directory.iterdir():
            archive.add(member, arcname=member.name)
    return path


def sentences(tmp_path, monkeypatch, *arguments):
    """How many sentences a command has predicted."""
    output = tmp_path / "output.jsonl"
    monkeypatch.setattr(sys, "argv", ["allennlp", *map(str, arguments), str(output)])
    main()
    lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    # Of a batch a line, or of a sentence.
    return sum(len(x["words"]) if isinstance(x["words"][0], list) else 1 for x in lines)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, ALL),
        # Also the one that the training had.
        ({"dataset_reader.max_instances": 9}, 9),
        ({"dataset_reader.reader.max_instances": 2}, 2),
        ({"dataset_reader.max_instances": 4, "dataset_reader.reader.language": "en"}, 4),
    ],
)
def test_evaluate(tmp_path, monkeypatch, archive, overrides, expected):
    arguments = ["evaluate", archive, DEV, "--overrides", json.dumps(overrides)]
    arguments += ["--predictions-output-file"]
    assert sentences(tmp_path, monkeypatch, *arguments) == expected


def test_a_serialization_directory(tmp_path, monkeypatch, directory):
    arguments = ["evaluate", directory, DEV, "--predictions-output-file"]
    assert sentences(tmp_path, monkeypatch, *arguments) == ALL


def test_predict(tmp_path, monkeypatch, archive):
    arguments = ["predict", archive, DEV, "--use-dataset-reader", "--silent", "--output-file"]
    assert sentences(tmp_path, monkeypatch, *arguments) == ALL


def test_a_suite(archive):
    counts, probabilities, _ = worker.evaluate(archive.parent, {"en": DEV}, "f1-measure")
    assert len(counts["en"]) == len(probabilities["en"].gold_nll) == ALL


@pytest.mark.parametrize(
    ("overrides", "lifted"),
    [
        ("", ["dataset_reader.max_instances", "dataset_reader.reader.max_instances"]),
        ({"dataset_reader.reader": {"type": "wikiann"}}, ["dataset_reader.max_instances"]),
        ('{"dataset_reader": {"type": "wikiann", "max_instances": 3}}', []),
    ],
)
def test_what_the_overrides_set_is_kept(archive, overrides, lifted):
    given = json.loads(overrides or "{}") if isinstance(overrides, str) else overrides
    assert json.loads(without_limits(archive, overrides)) == {**given, **dict.fromkeys(lifted)}


def test_what_cannot_be_read_is_left_to_whoever_loads_it(tmp_path, archive):
    torn = tmp_path / "model.tar.gz"
    for size in (0, 10, 300):
        torn.write_bytes(archive.read_bytes()[:size])
        assert without_limits(torn, '{"a": 1}') == '{"a": 1}'
    # Without a limit there is nothing to change.
    assert without_limits(TEACHER) == "{}"
    assert load_archive(TEACHER, overrides=without_limits(TEACHER)).config
