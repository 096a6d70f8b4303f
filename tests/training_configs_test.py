"""Every kept configuration is one that runs."""

import copy
import functools
import json
import re
import shlex
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
import torch
from allennlp.commands import parse_args
from allennlp.commands.train import TrainModel, train_model_from_args
from allennlp.common import Params
from allennlp.common.util import prepare_environment
from allennlp.data import DatasetReader
from allennlp.models import Model
from allennlp.models.archival import archive_model
from allennlp.training.callbacks import TrainerCallback
from allennlp.training.learning_rate_schedulers import LearningRateScheduler
from allennlp.training.optimizers import Optimizer

from structkd_allennlp import (
    MultilingualReader,
    StructuredCrfTagger,
    StructureKD,
    StructureKDCallback,
)
from structkd_allennlp.commands.train_folds import TrainFolds
from structkd_allennlp.distillation.interpolation import InterpolationSchedule
from structkd_allennlp.distillation.objectives import DistillationObjective

FOLDER = Path("training_configs")
CONFIGS = sorted(p for p in FOLDER.glob("**/*.jsonnet") if p.parent.name != "suites")
TOP = {"teacher", "baseline", "posterior_kd", "transformer_posterior_kd"}
TASKS = ("ud", "wikiann", "conll2002", "aspect")
# What the students of each row are distilled by, and whose teachers they take.
POSTERIOR = {"type": "posterior"}
ROWS = {
    "teacher": (None, None),
    "softmax_teacher": (None, None),
    "baseline": (None, None),
    "softmax_student": (None, None),
    "token_kd": ({"type": "emission"}, "softmax_teachers"),
    "emission_kd": ({"type": "emission"}, "teachers"),
    "top_k_kd": ({"type": "top_k", "k": 1}, "teachers"),
    "weighted_top_k_kd": ({"type": "weighted_top_k", "k": 10}, "teachers"),
    "k_analysis": ({"type": "weighted_top_k", "k": 5}, "teachers"),
    "posterior_kd": (POSTERIOR, "teachers"),
    "posterior_weighted_top_k_kd": (
        {"type": "sum", "objectives": [POSTERIOR, {"type": "weighted_top_k", "k": 10}]},
        "teachers",
    ),
    "structural_kd": ({"type": "structural"}, "teachers"),
    "weaker_teachers": (POSTERIOR, "softmax_teachers"),
    "cross_fitted": (POSTERIOR, "folds"),
    "unlabelled": (POSTERIOR, "teachers"),
}
# The rows that have no transitions.
SOFTMAX = {"softmax_teacher", "softmax_student", "token_kd"}
# Of one task every row is built and takes a step. Of the others the parts are checked: they differ
# in nothing but the corpora, of which wikiann, unlike ud, has entities.
BUILT = [
    config
    for config in CONFIGS
    if config.parent in (FOLDER, FOLDER / "ud") or config == FOLDER / "wikiann/posterior_kd.jsonnet"
]
# The corpora that a checkout can not hold.
DATA = Path("data")


def named(config):
    return str(config.relative_to(FOLDER).with_suffix(""))


def each(configs):
    return pytest.mark.parametrize("config", configs, ids=map(named, configs))


every_config = each(CONFIGS)
every_task_config = each([config for config in CONFIGS if config.parent != FOLDER])


@functools.cache
def _evaluated(config):
    # Evaluating jsonnet takes longer than most that is checked here.
    return Params.from_file(config).as_dict(quiet=True)


def params_of(config):
    return copy.deepcopy(_evaluated(config))


def wrapped_reader(params):
    return params["dataset_reader"]["reader"]


def test_every_task_has_every_row():
    assert {config.stem for config in FOLDER.glob("*.jsonnet")} == TOP
    assert {config.parent.name for config in CONFIGS if config.parent != FOLDER} == set(TASKS)
    for task in TASKS:
        rows = {config.stem for config in (FOLDER / task).glob("*.jsonnet")}
        # There is no further text of that domain.
        assert rows == set(ROWS) - ({"unlabelled"} if task == "aspect" else set())


def commands_of(config):
    """The lines of the comment at the start, and the `allennlp` commands in it."""
    header = []
    for line in config.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//"):
            break
        header.append(line.removeprefix("//").strip())
    commands = []
    for line in header:
        # A loop over runs of the shell stands for the first.
        loop = re.fullmatch(r"for (\w+) in (\S+) .*; do (allennlp .*); done", line)
        if loop:
            line = loop[3].replace(f"${loop[1]}", loop[2])
        if line.startswith("allennlp "):
            commands.append(_parser().parse_args(shlex.split(line)[1:]))
    return header, commands


@functools.cache
def _parser():
    """The one of `allennlp`, which takes a while to make."""
    with mock.patch("sys.argv", ["allennlp", "train", "a.jsonnet", "-s", "out"]):
        return parse_args()[0]


@every_config
def test_the_header_names_the_command(config):
    header, (first, *others) = commands_of(config)
    assert not header[0].startswith("allennlp"), "what it is comes first"
    assert first.func is train_model_from_args
    assert Path(first.param_path) == config
    assert not first.overrides
    for args in (first, *others):
        assert args.include_package == ["structkd_allennlp"]
        assert Path(args.param_path) in CONFIGS
        place = "out/" if config.parent == FOLDER else f"out/{config.parent.name}/"
        assert args.serialization_dir.startswith(place)
        if args.overrides:
            # It must be one that changes something.
            overridden = Params.from_file(args.param_path, args.overrides).as_dict(quiet=True)
            assert overridden != params_of(config)
    assert len(others) == (config.stem in {"k_analysis", "cross_fitted"})


def test_no_two_configurations_train_in_one_directory():
    directories = [args.serialization_dir for config in CONFIGS for args in commands_of(config)[1]]
    assert len(directories) == len(set(directories)) == len(CONFIGS) + 2 * len(TASKS)


@every_config
def test_components_are_registered(config):
    """Those that need no data are made."""
    params = params_of(config)
    assert isinstance(
        DatasetReader.from_params(Params(params["dataset_reader"])), MultilingualReader
    )
    model, trainer = params["model"], params["trainer"]
    callbacks = [TrainerCallback.by_name(callback) for callback in trainer.get("callbacks", [])]
    student = model
    distilled = model["type"] == "structure_kd"
    assert (callbacks == [StructureKDCallback]) == distilled
    assert Model.by_name(model["type"]) is (StructureKD if distilled else StructuredCrfTagger)
    if distilled:
        DistillationObjective.from_params(Params(model["objective"]))
        InterpolationSchedule.from_params(Params(model["interpolation"]))
        student = model["student"]
    assert Model.by_name(student["type"]) is StructuredCrfTagger
    Optimizer.by_name(trainer["optimizer"]["type"])
    LearningRateScheduler.by_name(trainer["learning_rate_scheduler"]["type"])
    # Reader and tagger agree on the scheme, and what is measured goes with it.
    encoding = wrapped_reader(params_of(config)).get("label_encoding")
    assert student.get("label_encoding") == encoding
    assert student.get("constrain_crf", False) == bool(encoding and config.stem not in SOFTMAX)
    measure = "f1-measure" if encoding else "accuracy"
    assert trainer["validation_metric"] == f"+{measure}/macro"


@every_task_config
def test_the_row_is_what_its_name_says(config):
    params, task = params_of(config), config.parent.name
    model = params["model"]
    objective, _ = ROWS[config.stem]
    assert model.get("objective") == objective
    assert (model["type"] == "structure_kd") == (objective is not None)
    # All runs of a task train the same student on the same sentences.
    baseline = params_of(config.with_name("baseline.jsonnet"))
    softmax = config.stem in SOFTMAX
    if objective is not None:
        twin = "softmax_student" if softmax else "baseline"
        assert model["student"] == params_of(config.with_name(f"{twin}.jsonnet"))["model"]
        assert params["dataset_reader"] == baseline["dataset_reader"]
    assert (params["trainer"].get("no_grad") == ["crf\\.transitions"]) == softmax
    if config.stem == "unlabelled":
        labelled, unlabelled = params["train_data_path"]
        assert labelled == baseline["train_data_path"]
        assert set(unlabelled) == {"unlabelled"}
        assert f"data/unlabelled/{task}/" in json.dumps(unlabelled)
    else:
        assert params["train_data_path"] == baseline["train_data_path"]
    assert params["validation_data_path"] == baseline["validation_data_path"]


@every_config
def test_teachers(config):
    """Each language has its teacher, and the one that the command in a header trains."""
    params, task = params_of(config), config.parent.name
    teachers = params["model"].get("teachers")
    if params["model"]["type"] != "structure_kd":
        assert teachers is None
        assert config.stem in TOP | set(ROWS)
        return
    assert set(params["dataset_reader"]["languages"]) <= set(teachers)
    if config.parent == FOLDER:
        assert all(Path(path).is_file() for path in teachers.values())
        assert "target_store" not in params["model"]
        return
    assert params["model"]["target_store"] == {"directory": f"out/{task}/targets"}
    kind = ROWS[config.stem][1]
    if kind == "folds":
        _, (_, args) = commands_of(config)
        assert args.func.__module__ == TrainFolds.__module__
        assert Path(args.param_path) == config.with_name("teacher.jsonnet")
        archives = [f"fold{i}/model.tar.gz" for i in range(1, args.folds + 1)]
    else:
        source = config.with_name(
            "teacher.jsonnet" if kind == "teachers" else f"{kind[:-1]}.jsonnet"
        )
        _, (args,) = commands_of(source)
        archives = ["model.tar.gz"]
    trained = Path(args.serialization_dir)
    (language,) = params_of(Path(args.param_path))["dataset_reader"]["languages"]
    assert trained.name == language
    for language, value in teachers.items():
        paths = [str(trained.with_name(language) / archive) for archive in archives]
        assert value == ({"folds": paths} if kind == "folds" else paths[0])


def fixture_paths(params, text=None):
    """Fixtures of the same format in place of a configuration's data."""
    pattern = {
        "structkd_conll": "fixtures/conll/{language}/%s.txt",
        "wikiann": "fixtures/wikiann/{language}/%s",
        "universal_dependencies_pos": "fixtures/ud/{language}/%s.conllu",
        "semeval_aspect": "fixtures/aspect/{language}/%s.xml",
    }[wrapped_reader(params)["type"]]
    unlabelled = isinstance(params["train_data_path"], list)
    params["train_data_path"] = pattern % "train"
    if unlabelled:
        params["train_data_path"] = [pattern % "train", {"unlabelled": {"en": str(text)}}]
    params["validation_data_path"] = pattern % "dev"
    params["dataset_reader"]["languages"] = ["en", "es"]
    return params


def train_loop(params, folder):
    """All that `allennlp train` makes before it starts."""
    prepare_environment(params)
    return TrainModel.from_params(
        params=params, serialization_dir=str(folder), local_rank=0, batch_weight_key=""
    )


@pytest.fixture(scope="module")
def teacher_of(tmp_path_factory):
    """A function that makes the archive of an untrained teacher from its configuration."""

    @functools.cache
    def archive(config):
        folder = tmp_path_factory.mktemp("teacher")
        params = fixture_paths(params_of(config))
        Params(copy.deepcopy(params)).to_file(str(folder / "config.json"))
        loop = train_loop(Params(params), folder)
        torch.save(loop.model.state_dict(), folder / "best.th")
        return archive_model(folder)

    return archive


@pytest.fixture
def step(tmp_path, teacher_of):
    """
    A function that builds a configuration on fixtures, with teachers made for it and a target store
    of its own, and takes a step of training. Returns the model, what it was, and the trainer.
    """
    text = tmp_path / "en.txt"
    text.write_text("They said so .\nNobody knows why .\n" * 100, encoding="utf-8")

    def take(config):
        params = fixture_paths(params_of(config), text)
        model = params["model"]
        if "target_store" in model:
            model["target_store"] = {"directory": str(tmp_path / "targets")}
            kind = ROWS[config.stem][1]
            name = "softmax_teacher" if kind == "softmax_teachers" else "teacher"
            archive = teacher_of(config.with_name(f"{name}.jsonnet"))
            own = {"folds": [archive, archive]} if kind == "folds" else archive
            model["teachers"] = {"en": own, "es": own}
        loop = train_loop(Params(params), tmp_path / "run")
        before = {name: x.detach().clone() for name, x in loop.model.named_parameters()}
        trainer = loop.trainer
        for callback in trainer._callbacks:
            callback.on_start(trainer)
        if isinstance(loop.model, StructureKD):
            # In the middle of training both losses count.
            loop.model.epochs = loop.model.interpolation.epochs / 2
        loop.model.train()
        loss = loop.model(**next(iter(trainer.data_loader)))["loss"]
        assert torch.isfinite(loss)
        loss.backward()
        trainer.optimizer.step()
        assert all(torch.isfinite(x).all() for x in loop.model.parameters())
        return loop.model, before, trainer

    return take


@each(BUILT)
def test_it_takes_a_step(config, step, tmp_path):
    """Components take their parameters and fit each other, and what is trained changes."""
    params = params_of(config)
    model, before, trainer = step(config)
    distilled = params["model"]["type"] == "structure_kd"
    assert type(model) is (StructureKD if distilled else StructuredCrfTagger)
    assert (tmp_path / "targets").exists() == ("target_store" in params["model"])

    optimized = {id(x) for group in trainer.optimizer.param_groups for x in group["params"]}
    frozen = {name for name, x in model.named_parameters() if id(x) not in optimized}
    prefix = "student." if distilled else ""
    parts = [f"{prefix}crf._constraint_mask"]
    if config.stem in SOFTMAX:
        parts.append(f"{prefix}crf.transitions")
        assert not any("start_transitions" in name for name in before)
    # A parameter group may hold what needs no gradient; AllenNLP leaves it alone.
    assert frozen - {parts[0]} == set(parts[1:])
    for name, parameter in model.named_parameters():
        if name in parts:
            assert parameter.grad is None
            assert torch.equal(parameter, before[name])
        else:
            assert parameter.requires_grad
    changed = {n for n, x in model.named_parameters() if not torch.equal(x, before[n])}
    trained = {"tag_projection_layer", "text_field_embedder"}
    trained |= set() if config.stem in SOFTMAX else {"crf.transitions", "crf.start_transitions"}
    for part in trained:
        assert any(name.startswith(prefix + part) for name in changed), part
    crf = model.student.crf if distilled else model.crf
    assert torch.equal(crf.transitions, torch.zeros_like(crf.transitions)) == (
        config.stem in SOFTMAX
    )


def corpora():
    """One configuration for each set of files that configurations read."""
    found = {}
    for config in CONFIGS:
        params = params_of(config)
        keys = ("train_data_path", "validation_data_path")
        files = [params["dataset_reader"]["languages"], *(params[key] for key in keys)]
        found.setdefault(json.dumps(files), config)
    return list(found.values())


@each(corpora())
@pytest.mark.skipif(not DATA.exists(), reason="the link to the full corpora is not there")
def test_its_corpora_can_be_read(config):
    """The first sentences of each language, of training, development and unlabelled data."""
    params = params_of(config)
    wrapped_reader(params)["max_instances"] = 3
    params["dataset_reader"]["unlabelled_reader"] = {"type": "unlabelled_text", "max_instances": 3}
    languages = params["dataset_reader"]["languages"]
    reader = DatasetReader.from_params(Params(params["dataset_reader"]))
    assert isinstance(reader, MultilingualReader)
    for key in ("train_data_path", "validation_data_path"):
        instances = list(reader.read(params[key]))
        assert all(len(x["tags"]) == len(x["tokens"]) > 0 for x in instances)
        found = Counter(
            x["metadata"]["language"] for x in instances if "tags" in x["metadata"].metadata
        )
        assert found == dict.fromkeys(languages, 3)
        unlabelled = {
            x["metadata"]["language"] for x in instances if "tags" not in x["metadata"].metadata
        }
        assert bool(unlabelled) == isinstance(params[key], list)
        # Each with a teacher, or nothing could be learned from it.
        assert unlabelled <= set(params["model"].get("teachers", ()))


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
