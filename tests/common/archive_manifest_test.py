"""An archive of ours that AllenNLP unpacks loads only as what was archived."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import archive_model, load_archive

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.archive_manifest import MANIFEST, write_manifest
from tests.distillation.taggers import LABELS, archived, tagger

TEACHER = "fixtures/teachers/en.tar.gz"


@pytest.fixture
def directory(tmp_path):
    """Files of a small tagger, as training leaves them."""
    archived(tmp_path / "run", LABELS)
    write_manifest(tmp_path / "run")
    return tmp_path / "run"


def loaded(archive):
    """All that predictions depend on."""
    model, config, *_ = load_archive(archive)
    return (
        {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        dict(model.vocab._index_to_token),
        config.as_dict(quiet=True),
    )


def test_damage(directory):
    """One bit anywhere, or the end of the file: what still loads is what was archived."""
    archive = Path(archive_model(directory))
    whole, expected = archive.read_bytes(), loaded(archive)
    accepted = refused = 0
    for i in range(0, len(whole), 47):
        archive.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        try:
            assert loaded(archive) == expected
            accepted += 1
        except AssertionError:
            raise
        except Exception:
            refused += 1
    for missing in (1, 8, 20, 50, 200, len(whole) // 2):
        archive.write_bytes(whole[:-missing])
        try:
            assert loaded(archive) == expected
        except AssertionError:
            raise
        except Exception:
            refused += 1
    assert refused > 5 * accepted


def change(path, at=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def change_weights(path):
    weight = torch.load(path)["tag_projection_layer._module.weight"]
    change(path, path.read_bytes().index(weight.numpy().tobytes()))


@pytest.mark.parametrize(
    "name", ["config.json", "vocabulary/labels.txt", "vocabulary/non_padded_namespaces.txt"]
)
def test_files_that_have_changed(directory, name):
    path = directory / name
    path.write_text(path.read_text().replace("PER", "ORG").replace("tags", "tegs") + "\n")
    with pytest.raises(ConfigurationError, match=rf"damaged \({name} has changed since.*again"):
        load_archive(archive_model(directory))


def test_files_that_are_missing_or_new(directory):
    (directory / "vocabulary/more.txt").write_text("x")
    with pytest.raises(ConfigurationError, match=r"vocabulary/more.txt has changed"):
        load_archive(directory)
    (directory / "vocabulary/more.txt").unlink()
    (directory / "vocabulary/tokens.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"vocabulary/tokens.txt is missing"):
        load_archive(directory)


def test_manifests_that_are_damaged(directory):
    for content in ("", "{", "[1]", "[]x", '{"a": "b"}', "\xff"):
        (directory / MANIFEST).write_text(content, encoding="latin-1")
        with pytest.raises(ConfigurationError, match=r"the archive is damaged.*delete") as error:
            load_archive(directory)
    assert error.value.message.endswith(f"delete {MANIFEST}")
    (directory / MANIFEST).unlink()
    load_archive(directory)


def test_weights_that_have_changed(directory):
    """Of an archive of before there were manifests as well."""
    change_weights(directory / "best.th")
    with pytest.raises(
        ConfigurationError, match=r"weights of the archive, weights.th, are damaged"
    ):
        load_archive(archive_model(directory))
    (directory / MANIFEST).unlink()
    with pytest.raises(ConfigurationError, match=r"weights of the archive, best.th, are damaged"):
        load_archive(directory)


def test_other_weights_than_the_archived(directory, tmp_path):
    weights = tmp_path / "other.th"
    torch.save(tagger(LABELS, seed=5)[0].state_dict(), weights)
    load_archive(directory, weights_file=str(weights))
    change_weights(weights)
    with pytest.raises(ConfigurationError, match=r"other.th, are damaged"):
        load_archive(directory, weights_file=str(weights))


def test_archives_from_before_there_were_manifests(tmp_path):
    shutil.unpack_archive(TEACHER, tmp_path)
    assert not (tmp_path / MANIFEST).exists()
    load_archive(TEACHER)
    # Nor is a model of AllenNLP's own any of ours.
    archive, _ = archived(tmp_path / "theirs", LABELS, type_="crf_tagger")
    load_archive(archive)


def test_training_makes_protected_archives(tmp_path):
    config = Params.from_file("training_configs/baseline.jsonnet", {"trainer.num_epochs": 1})
    train_model(config, str(tmp_path / "run"))
    load_archive(tmp_path / "run/model.tar.gz")
    load_archive(tmp_path / "run")
    shutil.unpack_archive(tmp_path / "run/model.tar.gz", tmp_path / "own")
    digests = json.loads((tmp_path / "own" / MANIFEST).read_text())
    assert digests.keys() == {
        "config.json",
        "meta.json",
        *(f"vocabulary/{x}.txt" for x in ("labels", "tokens", "token_characters")),
        "vocabulary/non_padded_namespaces.txt",
    }
