"""Every kept configuration is one that runs."""

import shlex
from pathlib import Path
from unittest import mock

import pytest
import torch
from allennlp.commands import parse_args
from allennlp.commands.train import TrainModel, train_model_from_args
from allennlp.common import Params
from allennlp.common.util import prepare_environment
from allennlp.data import DatasetReader

from structkd_allennlp import (
    MultilingualReader,
    StructuredCrfTagger,
    StructureKD,
    StructureKDCallback,
)

CONFIGS = sorted(Path("training_configs").glob("*.jsonnet"))
# The corpora that a checkout can not hold.
DATA = Path("data")
every_config = pytest.mark.parametrize("config", CONFIGS, ids=[x.stem for x in CONFIGS])


def params_of(config):
    return Params.from_file(config).as_dict(quiet=True)


def wrapped_reader(params):
    return params["dataset_reader"]["reader"]


def test_there_are_configurations_of_each_kind():
    names = {config.stem for config in CONFIGS}
    kinds = {"teacher", "baseline", "posterior_kd"}
    tasks = {"conll2002", "wikiann", "ud", "aspect"}
    assert names >= kinds | {f"{task}_{kind}" for task in tasks for kind in kinds}


@every_config
def test_the_header_names_the_command(config):
    header = []
    for line in config.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        header.append(line.removeprefix("//").strip())
    (command,) = [line for line in header if line.startswith("allennlp ")]
    with mock.patch("sys.argv", shlex.split(command)):
        _, args = parse_args()
    assert args.func is train_model_from_args
    assert Path(args.param_path) == config
    assert args.serialization_dir.startswith("out/")
    assert args.include_package == ["structkd_allennlp"]
    assert not header[0].startswith("allennlp"), "what it is comes first"


def on_fixtures(config):
    """A configuration with fixtures of the same format for its data."""
    params = params_of(config)
    pattern = {
        "structkd_conll": "fixtures/conll/{language}/%s.txt",
        "wikiann": "fixtures/wikiann/{language}/%s",
        "universal_dependencies_pos": "fixtures/ud/{language}/%s.conllu",
        "semeval_aspect": "fixtures/aspect/{language}/%s.xml",
    }[wrapped_reader(params)["type"]]
    params["train_data_path"] = pattern % "train"
    params["validation_data_path"] = pattern % "dev"
    params["dataset_reader"]["languages"] = ["en", "es"]
    return Params(params)


def train_loop(params, folder):
    """All that `allennlp train` makes before it starts."""
    prepare_environment(params)
    return TrainModel.from_params(
        params=params, serialization_dir=str(folder), local_rank=0, batch_weight_key=""
    )


@every_config
def test_what_it_names_can_be_built(config, tmp_path):
    """Components are registered, take their parameters and fit each other, short of training."""
    loop = train_loop(on_fixtures(config), tmp_path)
    kind = StructureKD if "kd" in config.stem else StructuredCrfTagger
    assert isinstance(loop.model, kind)
    callbacks = [type(callback) for callback in loop.trainer._callbacks]
    assert (StructureKDCallback in callbacks) == (kind is StructureKD)
    batch = next(iter(loop.trainer.data_loader))
    assert torch.isfinite(loop.model.eval()(**batch)["loss"])


@every_config
def test_teachers(config):
    """Each language has its teacher, and the one that the configuration of teachers makes."""
    params = params_of(config)
    teachers = params["model"].get("teachers")
    assert (teachers is not None) == ("kd" in config.stem)
    if teachers is None:
        return
    assert set(params["dataset_reader"]["languages"]) <= set(teachers)
    for language, path in teachers.items():
        if path.startswith("fixtures/"):
            assert Path(path).is_file()
        else:
            task = config.stem.split("_")[0]
            assert path == f"out/{task}/teachers/{language}/model.tar.gz"


@every_config
@pytest.mark.skipif(not DATA.exists(), reason="the link to the full corpora is not there")
def test_its_corpora_can_be_read(config):
    """The first sentences of each language, of training and development data."""
    params = params_of(config)
    wrapped_reader(params)["max_instances"] = 3
    languages = params["dataset_reader"]["languages"]
    reader = DatasetReader.from_params(Params(params["dataset_reader"]))
    assert isinstance(reader, MultilingualReader)
    for key in ("train_data_path", "validation_data_path"):
        instances = list(reader.read(params[key]))
        found = [instance["metadata"]["language"] for instance in instances]
        assert found == languages * 3
        assert all(len(x["tags"]) == len(x["tokens"]) > 0 for x in instances)


def test_the_transformer_trains_with_three_learning_rates(tmp_path):
    config = Path("training_configs/transformer_posterior_kd.jsonnet")
    params = Params(params_of(config))
    params["trainer"]["num_epochs"] = 1
    loop = train_loop(params, tmp_path)
    before = {name: x.detach().clone() for name, x in loop.model.named_parameters()}
    name_of = {id(parameter): name for name, parameter in loop.model.named_parameters()}
    groups = {
        group["lr"]: {name_of[id(parameter)] for parameter in group["params"]}
        for group in loop.trainer.optimizer.param_groups
        if group["params"]
    }
    # Nothing is left to the learning rate of the rest.
    parts = {5e-4: "text_field_embedder.", 1e-2: "tag_projection_layer.", 5e-2: "crf."}
    assert set(groups) == set(parts)
    for learning_rate, part in parts.items():
        own = {name for name in before if name.startswith(f"student.{part}")}
        trainable = own - {"student.crf._constraint_mask"}
        assert trainable <= groups[learning_rate] <= own

    metrics = loop.run()
    assert metrics["training_distillation_loss"] > 0
    for part in parts.values():
        assert any(
            not torch.equal(before[name], parameter)
            for name, parameter in loop.model.named_parameters()
            if name.startswith(f"student.{part}")
        )
