"""Loading an archive of somebody else's runs nothing of theirs."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from allennlp.models import Model
from allennlp.models.archival import archive_model, load_archive

from structkd_allennlp.common.untrusted_archive import load_untrusted_archive
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from tests.distillation.taggers import LABELS, READER, archived


@pytest.fixture
def directory(tmp_path):
    archived(tmp_path / "run", LABELS)
    return tmp_path / "run"


@pytest.fixture
def refused(directory):
    """A function that fails to load an archive of another configuration; returns the message."""

    def run(change):
        config = json.loads((directory / "config.json").read_text())
        change(config)
        (directory / "config.json").write_text(json.dumps(config))
        before = dict(sys.modules)
        for archive in (archive_model(directory), str(directory)):
            with pytest.raises(ConfigurationError) as error:
                load_untrusted_archive(archive)
        assert not {"antigravity", "this"} & (sys.modules.keys() - before.keys())
        return error.value.message

    return run


def test_what_loads(directory):
    resolve = Registrable.__dict__["resolve_class_name"]
    for archive in (archive_model(directory), str(directory), "fixtures/teachers/en.tar.gz"):
        own, theirs = load_untrusted_archive(archive), load_archive(archive)
        assert own.config.params == theirs.config.params
        assert own.dataset_reader.to_params().params == theirs.dataset_reader.to_params().params
        for name, weight in theirs.model.state_dict().items():
            assert torch.equal(own.model.state_dict()[name], weight)
    assert Registrable.__dict__["resolve_class_name"] is resolve


@pytest.mark.parametrize(
    ("place", "type_"),
    [
        ("model", {"type": "subprocess.Popen", "args": ["touch", "PWNED"]}),
        ("model", "os.abort"),
        ("dataset_reader", {"type": "subprocess.Popen", "args": ["touch", "PWNED"]}),
        ("validation_dataset_reader", "subprocess.Popen"),
        ("vocabulary", {"type": "subprocess.Popen"}),
        # A string stands for a type wherever a component may be, and an import runs code.
        ("model.encoder", "antigravity.x"),
        ("dataset_reader.token_indexers", {"tokens": "this.x"}),
        # Imported long ago, or of a package that is trusted, but none of what is asked for.
        ("model.encoder", {"type": "torch.hub.load", "repo_or_dir": "a/b", "model": "x"}),
        ("model.encoder", "allennlp.common.util.import_module_and_submodules"),
        ("model.encoder", "allennlp.models.Model"),
    ],
)
def test_types_of_other_packages(refused, tmp_path, monkeypatch, place, type_):
    monkeypatch.chdir(tmp_path)

    def change(config):
        *path, last = place.split(".")
        for key in path:
            config = config[key]
        config[last] = type_

    message = refused(change)
    name = type_ if isinstance(type_, str) else type_.get("type", "this.x")
    assert f"names the type {name!r}, which is refused" in message
    assert "import it with --include-package" in message
    assert not (tmp_path / "PWNED").exists()


@StructuredCrfTagger.register("unused")
class OwnTagger(StructuredCrfTagger):
    """Of a package that has been imported."""


@pytest.mark.parametrize(
    "name",
    [
        "structkd_allennlp.models.structured_crf_tagger.StructuredCrfTagger",
        "allennlp_models.tagging.models.crf_tagger.CrfTagger",
        f"{__name__}.OwnTagger",
    ],
)
def test_types_with_a_dot_that_are_trusted(directory, name):
    config = json.loads((directory / "config.json").read_text())
    config["model"]["type"] = name
    (directory / "config.json").write_text(json.dumps(config))
    model = load_untrusted_archive(archive_model(directory)).model
    assert type(model).__name__ == name.rpartition(".")[2]


def test_code_in_weights(directory, tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "PWNED",))

    weights = {"weight": Evil()}
    for save in (torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))):
        save(weights, directory / "best.th")
        with pytest.raises(pickle.UnpicklingError):
            load_untrusted_archive(archive_model(directory))
        assert not (tmp_path / "PWNED").exists()


def test_code_of_the_hub(refused):
    kwargs = {"trust_remote_code": True}
    embedder = {"type": "pretrained_transformer", "model_name": "x", "transformer_kwargs": kwargs}

    def change(config):
        config["model"]["text_field_embedder"]["token_embedders"]["tokens"] = embedder

    assert '"trust_remote_code", which runs code from the Hugging Face Hub' in refused(change)


@pytest.mark.parametrize(
    "text",
    [
        "{dataset_reader: std.extVar('HOME')}",
        '{"dataset_reader": importstr "/etc/hostname"}',
        "[" * 100_000,
        "",
    ],
)
def test_configurations_that_are_programs(directory, text):
    (directory / "config.json").write_text(text)
    with pytest.raises(ConfigurationError, match="is not the JSON that AllenNLP writes"):
        load_untrusted_archive(str(directory))


def test_a_configuration_without_end(directory):
    (directory / "config.json").write_text(" " * 10_000_001)
    with pytest.raises(ConfigurationError, match="more than 10,000,000 bytes"):
        load_untrusted_archive(str(directory))


def test_archives_within_an_archive(tmp_path, refused):
    """AllenNLP unpacks them by itself, so they are looked at before."""
    inner, _ = archived(tmp_path / "inner", LABELS)
    outer = {"dataset_reader": READER, "model": {"type": "from_archive", "archive_file": inner}}
    (tmp_path / "outer").mkdir()
    for name in ("vocabulary", "best.th"):
        own = tmp_path / "inner" / name
        (shutil.copytree if own.is_dir() else shutil.copy)(own, tmp_path / "outer" / name)
    (tmp_path / "outer/config.json").write_text(json.dumps(outer))
    assert isinstance(load_untrusted_archive(str(tmp_path / "outer")).model, Model)

    config = json.loads((tmp_path / "inner/config.json").read_text())
    config["model"]["encoder"] = {"type": "subprocess.Popen", "args": ["touch", "PWNED"]}
    (tmp_path / "inner/config.json").write_text(json.dumps(config))
    archive_model(tmp_path / "inner")
    with pytest.raises(ConfigurationError, match=r"'subprocess.Popen', which is refused"):
        load_untrusted_archive(str(tmp_path / "outer"))
    Path(inner).write_bytes(Path(inner).read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match="the archive is damaged"):
        load_untrusted_archive(str(tmp_path / "outer"))
