"""Archives that are not fit to teach are named, and why."""

import json
import logging
import os
import shutil

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import archive_model

from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import ArchiveSource, Teacher
from tests.distillation.taggers import LABELS, SENTENCES, archived

CPU = torch.device("cpu")


def changed_weights(directory, name, value):
    weights = torch.load(directory / "best.th")
    weights[name].view(-1)[0] = value
    torch.save(weights, directory / "best.th")
    return archive_model(directory)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["crf.transitions", "tag_projection_layer._module.weight"])
def test_weights_that_are_not_finite(tmp_path, name, value):
    archived(tmp_path / "t", LABELS)
    archive = changed_weights(tmp_path / "t", name, value)
    with pytest.raises(ConfigurationError) as error:
        Teacher(ArchiveSource(archive)).head()
    message = error.value.message
    assert message.startswith(f"teacher {archive}: its weights {name} are not finite numbers")
    assert "train it again" in message


@pytest.mark.parametrize("stored", [False, True])
def test_scores_that_are_not_finite(tmp_path, stored):
    """Of finite weights: they are larger than the scores can be."""
    archived(tmp_path / "t", LABELS)
    for name in ("tag_projection_layer._module.weight", "crf.transitions"):
        archive = changed_weights(tmp_path / "t", name, 1.0)
    weights = torch.load(tmp_path / "t" / "best.th")
    weights["text_field_embedder.token_embedder_tokens.weight"].fill_(3e38)
    weights["tag_projection_layer._module.weight"].fill_(3e38)
    torch.save(weights, tmp_path / "t" / "best.th")
    archive = archive_model(tmp_path / "t")
    store = TargetStore(str(tmp_path / "store")) if stored else None
    with pytest.raises(ConfigurationError) as error:
        Teacher(ArchiveSource(archive), store).emissions(SENTENCES, CPU)
    assert error.value.message.startswith(
        f"teacher {archive} gives the words of 'Ada met Bob' scores that are not finite numbers"
    )


@pytest.mark.parametrize(
    ("metric", "metrics", "warned"),
    [
        ("+f1-measure/macro", {"f1-measure/macro": 0.0}, "f1-measure/macro on its own"),
        ("+f1-measure/macro", {"f1-measure/macro": float("nan")}, "data is nan"),
        (["+accuracy/macro", "-loss"], {"accuracy/macro": 0}, "accuracy/macro on its own"),
        ("-loss", {"loss": 0.0, "f1-measure-overall": 0.0}, "f1-measure-overall on its own"),
        ("-loss", {"loss": 0.0}, None),
        ("+f1-measure/macro", {"f1-measure/macro": 0.01}, None),
        ("+f1-measure/macro", {}, None),
    ],
)
@pytest.mark.parametrize("as_directory", [False, True])
def test_a_worthless_teacher(tmp_path, caplog, metric, metrics, warned, as_directory):
    config = {"trainer": {"validation_metric": metric}}
    archive, _ = archived(tmp_path / "t", LABELS, config=config)
    best = {f"best_validation_{name}": value for name, value in metrics.items()}
    (tmp_path / "t" / "metrics.json").write_text(json.dumps(best))
    name = str(tmp_path / "t") if as_directory else archive
    with caplog.at_level(logging.WARNING, logger="structkd_allennlp"):
        Teacher(ArchiveSource(name)).head()
    messages = [record.getMessage() for record in caplog.records]
    messages = [message for message in messages if "is worthless" in message]
    assert len(messages) == bool(warned)
    for message in messages:
        assert message.startswith(f"teacher {name} is worthless: its best ")
        assert warned in message


def test_without_metrics(tmp_path, caplog):
    archive, _ = archived(tmp_path / "t", LABELS)
    for content in (None, "", "[]x", "{}"):
        if content is not None:
            (tmp_path / "t" / "metrics.json").write_text(content)
        Teacher(ArchiveSource(archive)).head()
    assert "is worthless" not in caplog.text


def refused(path, tmp_path):
    """The message, which does not depend on a store, whose keys need the whole file."""
    messages = set()
    for store in (None, TargetStore(str(tmp_path / "store"))):
        with pytest.raises(ConfigurationError) as error:
            Teacher(ArchiveSource(str(path)), store).head()
        messages.add(error.value.message)
    (message,) = messages
    return message


def test_what_is_no_archive(tmp_path):
    """Nobody writes to the named pipes: whoever reads them waits for ever."""
    (tmp_path / "empty").mkdir()
    message = refused(tmp_path / "empty", tmp_path)
    assert message.startswith(f"teacher {tmp_path}/empty cannot be loaded: it has no configuration")
    assert "must be the model.tar.gz of a finished training run" in message
    os.mkfifo(tmp_path / "pipe")
    assert "neither a regular file nor a directory" in refused(tmp_path / "pipe", tmp_path)
    shutil.unpack_archive("fixtures/teachers/en.tar.gz", tmp_path / "run")
    (tmp_path / "run/vocabulary/labels.txt").unlink()
    os.mkfifo(tmp_path / "run/vocabulary/labels.txt")
    assert "its labels.txt is not a regular file" in refused(tmp_path / "run", tmp_path)


def test_missing_outside_of_this_repository(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match=r"with training_configs/teacher.jsonnet, or"):
        ArchiveSource("no/model.tar.gz").check("en")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        ArchiveSource("no/model.tar.gz").check("en")
    assert error.value.message == (
        "the teacher of language 'en' is missing: there is no no/model.tar.gz. Train it first or "
        f'correct its path in "teachers", which is relative to {tmp_path}'
    )
