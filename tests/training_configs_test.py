"""Every kept configuration is one that runs, and its comments say what is true."""

import copy
import functools
import json
import re
import shlex
from pathlib import Path

import _jsonnet
import pytest
import torch
from allennlp.commands.train import TrainModel, train_model_from_args
from allennlp.common import Params
from allennlp.common.util import prepare_environment
from allennlp.models.archival import archive_model

from structkd_allennlp.commands.distillation_suite import DistillationSuite
from structkd_allennlp.registrables import StructuredCrfTagger, StructureKD
from tests.command_lines import commands_in

FOLDER = Path("training_configs")
SUITES = sorted(FOLDER.glob("suites/*.jsonnet"))
PRETRAINING = sorted(FOLDER.glob("pretraining/*.jsonnet"))
STUDIES = sorted(FOLDER.glob("studies/*.jsonnet"))
CONFIGS = sorted({*FOLDER.glob("**/*.jsonnet")} - {*SUITES, *STUDIES, *PRETRAINING})
ALL = CONFIGS + PRETRAINING + SUITES + STUDIES
TOP = {"teacher", "baseline", "posterior_kd", "copied_posterior_kd", "transformer_posterior_kd"}
TASKS = {"ud", "wikiann", "conll2002", "aspect"}
KINDS = {"teacher", "baseline", "posterior_kd", "structural_kd", "unlabelled"}
# These are for any task, and any transformer.
TRANSFORMER = sorted(FOLDER.glob("transformer/*.jsonnet"))
PAPER = sorted(FOLDER.glob("paper/*.jsonnet"))
# These train by several processes.
DISTRIBUTED = sorted(FOLDER.glob("distributed/*.jsonnet"))
ENCODERS = FOLDER / "suites/encoders.jsonnet"
ABLATIONS = FOLDER / "suites/ablations.jsonnet"
FEW_LABELS = FOLDER / "suites/few_labels.jsonnet"
FEW_LABELS_ENCODERS = FOLDER / "suites/few_labels_encoders.jsonnet"
# The corpora that a checkout cannot hold.
needs_data = pytest.mark.skipif(
    not Path("data").exists(), reason="the link to the full corpora is not there"
)


def named(config):
    return str(config.relative_to(FOLDER).with_suffix(""))


@functools.cache
def _evaluated(config, overrides="", task="fixtures"):
    # Evaluating jsonnet takes longer than most that is checked here.
    variables = {"TASK": task, "ENCODER": "fixtures/tiny_mbert"}
    variables |= {"DEVICES": "[-1, -1]", "NODES": "2", "ADDRESS": "127.0.0.1"}
    return Params.from_file(config, overrides, variables).as_dict(quiet=True)


def params_of(config, overrides="", task="fixtures"):
    return copy.deepcopy(_evaluated(config, overrides, task))


def comments_of(config):
    """The `allennlp` commands and the bare `--overrides` in the comments, parsed."""
    text = config.read_text(encoding="utf-8")
    lines = re.findall("^ *// *(--overrides .*)$", text, flags=re.MULTILINE)
    return commands_in(text, "// *"), [shlex.split(line)[1] for line in lines]


def cases():
    """Each configuration as it is, and with each of the overrides that its comments name."""
    # Others by several processes are those of one, but for their batches.
    for config in sorted({*CONFIGS} - {*PAPER, *DISTRIBUTED}):
        commands, overrides = comments_of(config)
        overrides += [args.overrides for args in commands if getattr(args, "overrides", "")]
        for i, override in enumerate(["", *overrides]):
            name = named(config) + (f"-{i}" if i else "")
            yield pytest.param(config, override, config.parent.name, id=name)
    for config in TRANSFORMER + PAPER:
        # One of spans, and one that is not.
        for task in ("ud", "wikiann"):
            yield pytest.param(config, "", task, id=f"{named(config)}-{task}")


@pytest.mark.parametrize("task", ["fixtures", "ud"])
@pytest.mark.parametrize("config", DISTRIBUTED, ids=named)
def test_processes_share_the_batches_of_one(config, task):
    processes = 2 if config.stem == "one_node" else 4
    of_one = params_of(FOLDER / (task if task in TASKS else "") / "posterior_kd.jsonnet")
    params = params_of(config, "", task)
    shares, whole = params.pop("data_loader"), of_one.pop("data_loader")
    if task == "fixtures":
        assert shares["batch_size"] * processes == whole["batch_size"]
    else:
        sampler = shares["batch_sampler"]
        assert sampler["max_tokens"] * processes == whole["batch_sampler"]["max_tokens"]
    del params["distributed"]
    assert params == of_one


@pytest.mark.parametrize("config", PAPER, ids=named)
def test_the_overrides_of_the_paper_change_something(config):
    commands, overrides = comments_of(config)
    for override in overrides + [args.overrides for args in commands if args.overrides]:
        assert params_of(config, override, "conll2002") != params_of(config, "", "conll2002")


def test_which_there_are():
    assert {config.stem for config in FOLDER.glob("*.jsonnet")} == TOP
    assert {config.stem for config in TRANSFORMER} == {
        *("baseline", "frozen", "posterior_kd", "teacher")
    }
    assert {config.stem for config in PAPER} == {
        *("teacher", "baseline", "posterior_kd"),
        *("fine_tuned_baseline", "fine_tuned_posterior_kd"),
    }
    assert {config.stem for config in DISTRIBUTED} == {"one_node", "several_nodes"}
    of_tasks = {*CONFIGS} - {*TRANSFORMER, *PAPER, *DISTRIBUTED}
    others = {named(config) for config in of_tasks} - TOP
    assert others == {f"{t}/{k}" for t in TASKS for k in KINDS}


def test_the_one_that_is_written_out_is_what_the_others_are_made_like():
    """So that baseline.jsonnet trains the same student, and suites measure the same thing."""
    config = FOLDER / "posterior_kd.jsonnet"
    assert "import" not in re.sub("//.*", "", config.read_text(encoding="utf-8"))
    made = _jsonnet.evaluate_snippet(
        str(FOLDER / "lib/snippet.jsonnet"),
        """
        local runs = import 'runs.libsonnet';
        local tasks = import 'tasks.libsonnet';
        runs.distillation(tasks.fixtures, { type: 'posterior' })
        """,
    )
    assert json.loads(made) == params_of(config)


@pytest.mark.parametrize("config", ALL, ids=named)
def test_the_comments_name_commands_that_parse(config):
    text = config.read_text(encoding="utf-8")
    assert not text.startswith("//   allennlp"), "what it is comes first"
    (first, *others), _ = comments_of(config)
    assert not first.overrides
    encoders = [*TRANSFORMER, *PAPER, *STUDIES, ENCODERS]
    variables = {"TASK", "ENCODER"} if config in encoders else set()
    if config == ABLATIONS:
        variables = {"TASK"}
    if config == FEW_LABELS:
        variables = {"TASK", "PERCENTAGE"}
    if config == FEW_LABELS_ENCODERS:
        variables = {"TASK", "PERCENTAGE", "ENCODER"}
    if config in DISTRIBUTED:
        variables = {"TASK", "DEVICES"}
        variables |= {"NODES", "ADDRESS"} if config.stem == "several_nodes" else set()
    assert first.variables.keys() == variables
    for args in (first, *others):
        if hasattr(args, "param_path"):
            assert Path(args.param_path) == config
        if config.parent.name in TASKS:
            place = getattr(args, "serialization_dir", None) or args.archive_file
            assert place.startswith(f"out/{config.parent.name}/")
    if config in SUITES + STUDIES:
        assert first.func.__module__ == DistillationSuite.__module__
        assert Path(first.suite_path) == config
    else:
        assert first.func is train_model_from_args


def test_no_two_commands_train_in_one_directory():
    # These go on with what a task's own suite has run.
    configs = [config for config in ALL if config not in (ABLATIONS, ENCODERS)]
    commands = [args for config in configs for args in comments_of(config)[0]]
    places = [x.serialization_dir for x in commands if hasattr(x, "serialization_dir")]
    assert len(places) == len(set(places)) >= len(configs)


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_teachers_are_where_their_command_trains_them(config):
    # The paper's commands are for this task.
    params_of_task = functools.partial(
        params_of, task="conll2002" if config in PAPER else "fixtures"
    )
    params = params_of_task(config)
    if params["model"]["type"] != "structure_kd":
        return
    teachers = params["model"]["teachers"]
    assert set(params["dataset_reader"]["languages"]) <= set(teachers)
    if config.parent.name not in TASKS and config not in PAPER:
        assert all(Path(path).is_file() for path in teachers.values())
        return
    (first, *_), _ = comments_of(config.with_name("teacher.jsonnet"))
    trained = Path(first.serialization_dir)
    (own,) = params_of_task(config.with_name("teacher.jsonnet"))["dataset_reader"]["languages"]
    assert trained.name == own
    for language, archive in teachers.items():
        assert Path(archive) == trained.with_name(language) / "model.tar.gz"


@pytest.mark.parametrize("task", sorted(TASKS))
def test_so_is_the_one_of_all_languages(task):
    student = FOLDER / task / "unlabelled.jsonnet"
    teacher = student.with_name("teacher.jsonnet")
    override = comments_of(student)[0][-1].overrides
    (archive,) = json.loads(override).values()
    (command,) = (
        args
        for args in comments_of(teacher)[0]
        if f"{args.serialization_dir}/model.tar.gz" == archive
    )
    languages = params_of(teacher, command.overrides)["dataset_reader"]["languages"]
    assert languages == params_of(student, override)["dataset_reader"]["languages"]


def test_a_student_is_pretrained_as_its_teacher_is_on_the_same_text():
    assert {x.stem for x in PRETRAINING} == {
        f"{text}_{kind}"
        for text in ("fixtures", "small", "text")
        for kind in ("teacher", "student")
    }
    for student in FOLDER.glob("pretraining/*_student.jsonnet"):
        teacher = student.with_name(student.name.replace("student", "teacher"))
        (command, *_), _ = comments_of(teacher)
        own, its = params_of(student), params_of(teacher)
        assert own["model"]["teacher"] == f"{command.serialization_dir}/transformer"
        hidden = own["model"]["hidden_states"]
        assert hidden["teacher_size"] == its["model"]["student"]["hidden_size"]
        assert max(hidden["layers"].values()) == its["model"]["student"]["num_hidden_layers"]
        alone = params_of(student, comments_of(student)[1][0])
        for params in (alone, its):
            for name in ("teacher", "hidden_states", "student", "interpolation", "temperature"):
                params["model"].pop(name, None)
        assert alone == its


def on_fixtures(params, text):
    """Fixtures of the same format, and a text, in place of a configuration's data."""
    pattern = {
        "structkd_conll": "fixtures/conll/{language}/%s.txt",
        "wikiann": "fixtures/wikiann/{language}/%s",
        "universal_dependencies_pos": "fixtures/ud/{language}/%s.conllu",
        "semeval_aspect": "fixtures/aspect/{language}/%s.xml",
    }[params["dataset_reader"]["reader"]["type"]]
    unlabelled = isinstance(params["train_data_path"], list)
    params["train_data_path"] = pattern % "train"
    if unlabelled:
        params["train_data_path"] = [pattern % "train", {"unlabelled": {"en": str(text)}}]
    params["validation_data_path"] = pattern % "dev"
    if "test_data_path" in params:
        # Where the vocabulary comes from.
        params["test_data_path"] = pattern % "train"
    params["dataset_reader"]["languages"] = ["en", "es"]
    return params


def train_loop(params, folder):
    """All that `allennlp train` makes before it starts."""
    prepare_environment(params)
    return TrainModel.from_params(
        params=params, serialization_dir=str(folder), local_rank=0, batch_weight_key=""
    )


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "en.txt"
    path.write_text("They said so .\nNobody knows why .\n" * 100, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def teacher_of(tmp_path_factory, text):
    """A function that makes the archive of an untrained teacher of a task."""

    @functools.cache
    def archive(task):
        folder = tmp_path_factory.mktemp("teacher")
        params = on_fixtures(params_of(FOLDER / task / "teacher.jsonnet"), text)
        Params(copy.deepcopy(params)).to_file(str(folder / "config.json"))
        loop = train_loop(Params(params), folder)
        torch.save(loop.model.state_dict(), folder / "best.th")
        return archive_model(folder)

    return archive


@pytest.fixture
def take_step(tmp_path, text, teacher_of):
    """
    A function that builds a configuration on fixtures, with untrained teachers and a target store
    of its own, and takes a step of training. Returns the model, and what has changed of it.
    """

    def take(params, task):
        params = copy.deepcopy(params)
        model, epochs = params["model"], params["trainer"]["num_epochs"]
        if task in TASKS:
            params = on_fixtures(params, text)
        # One for all languages.
        of_all = isinstance(model.get("teachers"), str)
        if "target_store" in model:
            archive = teacher_of(task)
            folds = not of_all and any("folds" in x for x in model["teachers"].values())
            own = {"folds": [archive, archive]} if folds else archive
            model["teachers"] = own if of_all else {"en": own, "es": own}
            model["target_store"] = {"directory": str(tmp_path / "targets")}
        elif of_all:
            model["teachers"] = "fixtures/teachers/en.tar.gz"
        loop = train_loop(Params(params), tmp_path / "run")
        before = {name: x.detach().clone() for name, x in loop.model.named_parameters()}
        trainer = loop.trainer
        for callback in trainer._callbacks:
            callback.on_start(trainer)
        if isinstance(loop.model, StructureKD):
            # In the middle of training both losses count.
            loop.model.epochs = epochs / 2
        loop.model.train()
        loss = loop.model(**next(iter(trainer.data_loader)))["loss"]
        assert torch.isfinite(loss)
        loss.backward()
        trainer.optimizer.step()
        assert all(torch.isfinite(x).all() for x in loop.model.parameters())
        changed = {n for n, x in loop.model.named_parameters() if not torch.equal(x, before[n])}
        return loop.model, changed

    return take


@pytest.mark.parametrize(("config", "overrides", "task"), cases())
def test_it_takes_a_step(config, overrides, task, take_step):
    """Components take their parameters and fit each other, and what is trained changes."""
    params = params_of(config, overrides, task if task in TASKS else "fixtures")
    if overrides:
        assert params != params_of(config)
    languages, teachers = params["dataset_reader"]["languages"], params["model"].get("teachers")
    assert not isinstance(teachers, dict) or set(languages) <= set(teachers)
    model, changed = take_step(params, task)
    distilled = params["model"]["type"] == "structure_kd"
    assert type(model) is (StructureKD if distilled else StructuredCrfTagger)
    student = model.student if distilled else model
    assert student.label_encoding == params["dataset_reader"]["reader"].get("label_encoding")
    for part in ("tag_projection_layer", "text_field_embedder", "crf.transitions"):
        prefix = f"student.{part}" if distilled else part
        assert any(name.startswith(prefix) for name in changed), part


def rows():
    # Without softmax students, suites hold nothing that is not among the cases above.
    values = _evaluated(ABLATIONS, task="ud")
    softmax = ("softmax", "token_kd")
    yield from ((row["name"], row["config"]) for row in values["rows"] if row["name"] in softmax)
    yield "softmax teacher", values["teachers"]["softmax"]["config"]


@pytest.mark.parametrize(("name", "params"), rows())
def test_a_softmax_has_no_transitions(name, params, take_step):
    model, changed = take_step(params, "ud")
    student = model.student if name == "token_kd" else model
    assert not any("crf" in parameter for parameter in changed)
    assert any("tag_projection_layer" in parameter for parameter in changed)
    assert not student.crf.transitions.any()
    assert not hasattr(student.crf, "start_transitions")


def test_the_transformer_trains_with_three_learning_rates(tmp_path):
    config = Path("training_configs/transformer_posterior_kd.jsonnet")
    params = Params(params_of(config))
    params["trainer"]["num_epochs"] = 1
    loop = train_loop(params, tmp_path)
    before = {name: x.detach().clone() for name, x in loop.model.named_parameters()}
    name_of = {id(parameter): name for name, parameter in loop.model.named_parameters()}
    groups = {
        group["initial_lr"]: {name_of[id(parameter)] for parameter in group["params"]}
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
