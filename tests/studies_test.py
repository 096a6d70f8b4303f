"""The studies of training_configs/studies: what they compare is alike, and the smallest runs."""

from concurrent.futures import Future
from pathlib import Path

import pytest
from allennlp.common.checks import ConfigurationError

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import worker
from structkd_allennlp.suite.executor import Executor
from structkd_allennlp.suite.jobs import TrainJob
from structkd_allennlp.suite.plan import plan
from structkd_allennlp.suite.runner import run_suite
from structkd_allennlp.suite.specification import Suite
from tests.training_configs_test import needs_data

FOLDER = Path("training_configs/studies")
tasks = pytest.mark.parametrize(
    "task", ["fixtures", *(pytest.param(x, marks=needs_data) for x in ("ud", "wikiann"))]
)
encoders = pytest.mark.parametrize("encoder", ["none", "fixtures/tiny_mbert"])


@pytest.fixture
def study(monkeypatch):
    def made(name, task, encoder):
        monkeypatch.setenv("TASK", task)
        monkeypatch.setenv("ENCODER", encoder)
        return Suite.from_file(str(FOLDER / f"{name}.jsonnet"))

    return made


def steps_of(suite, directory):
    return {step.name: step for step in plan(suite, directory)}


@tasks
@encoders
def test_copying(study, task, encoder, tmp_path):
    suite = study("copying", task, encoder)
    rows = {row.name: row for row in suite.rows}
    for name, row in rows.items():
        assert (row.initialize_from == "teacher") == name.startswith("copied")
        assert (row.teachers == "teacher") == ("_kd_" in name or "_text_" in name)
        if "own_vocabulary" not in name:
            for key in ("test_data_path", "vocabulary", "datasets_for_vocab_creation"):
                assert row.config[key] == suite.teachers["teacher"]["config"][key]
        # Of the same percentage, they see the same labels, in the same batches, as often.
        alone = rows[f"random_{name.rpartition('_')[2]}"].config
        if "_text_" not in name:
            for key in ("train_data_path", "data_loader"):
                assert row.config[key] == alone[key]
            callbacks = {"callbacks": alone["trainer"]["callbacks"]}
            assert {**row.config["trainer"], **callbacks} == alone["trainer"]
        else:
            assert row.config["train_data_path"][0] == alone["train_data_path"]
            all_labels = rows["random_kd_100"].config
            for key in ("data_loader", "trainer"):
                assert row.config[key] == all_labels[key]
    steps = steps_of(suite, tmp_path)
    for seed in suite.rows[0].seeds:
        needs = steps[f"students/copied_100/seed{seed}"].needs
        assert [step.name for step in needs] == [f"teachers/teacher/seed{seed}"]


@tasks
@encoders
def test_self_distillation(study, task, encoder, tmp_path):
    steps = steps_of(study("self_distillation", task, encoder), tmp_path)
    for i in (1, 2, 3):
        needs = steps[f"students/generation_{i}/seed1"].needs
        assert [step.name for step in needs] == [f"students/generation_{i - 1}/seed1"]


@tasks
def test_pretraining(study, task, tmp_path):
    with pytest.raises(ConfigurationError, match="alone/transformer does not exist: pre-train it"):
        study("pretraining", task, str(tmp_path))
    for name in ("teacher", "alone", "student", "student_of_alone"):
        (tmp_path / name / "transformer").mkdir(parents=True)
    suite = study("pretraining", task, str(tmp_path))
    # English alone is trained on, and each language is tested on once.
    models = [*(row.config for row in suite.rows), *(x["config"] for x in suite.teachers.values())]
    assert all(config["dataset_reader"]["languages"] == ["en"] for config in models)
    assert list(suite.test) == ["en"]
    assert suite.zero_shot
    # The encoder that each starts from, and the teacher that it learns from.
    found = {}
    for row in suite.rows:
        indexer = row.config["dataset_reader"]["reader"]["token_indexers"]["tokens"]
        encoder = Path(indexer["model_name"])
        assert encoder.parent.parent == tmp_path
        found[row.name] = (encoder.parent.name, row.teachers)
    assert found == {
        "neither": ("alone", None),
        "pretraining": ("student", None),
        "finetuning": ("alone", "teacher"),
        "both": ("student", "teacher"),
        "pretraining_small": ("student_of_alone", None),
        "finetuning_small": ("alone", "alone"),
        "both_small": ("student_of_alone", "alone"),
    }


class InThisProcess(Executor):
    """Spares seconds a job."""

    def submit(self, step, directory):
        assert isinstance(step.job, TrainJob)
        worker.execute(step.job)
        future = Future()
        future.set_result(step.job.done())
        return future

    def stop(self):
        pass


def test_a_small_one_from_end_to_end(study, tmp_path):
    """A teacher, a student that starts from it, and one that learns from it as well."""
    values = study("copying", "fixtures", "none").as_dict()
    names = ("random_100", "copied_10", "copied_kd_10")
    values["rows"] = [row for row in values["rows"] if row["name"] in names]
    values["contrasts"] = [
        {"name": "distillation", "rows": ["copied_kd_10"], "against": ["copied_10"]}
    ]
    for one in [values["teachers"]["teacher"], *values["rows"]]:
        one["config"]["trainer"]["num_epochs"] = 2
        one["seeds"] = [1, 2]
    suite = Suite.from_dict(values)
    assert run_suite(suite, tmp_path, InThisProcess(1)) == []
    for seed in (1, 2):
        student = tmp_path / f"students/copied_kd_10/seed{seed}"
        copied = (student / "initialization.txt").read_text()
        assert f"copied from {tmp_path}/teachers/teacher/seed{seed}/model.tar.gz" in copied
        # The teacher's second layer has no place in the student.
        assert "unused      encoder._module.weight_ih_l1" in copied
        assert "mismatched" not in copied
    (found,) = read_json(tmp_path / "contrasts.json")
    assert list(found["languages"]["by_seed"]) == ["1", "2"]
    assert found["zero_shot"]["p_value"] is not None
    parameters = {
        run["parameters"]
        for run in read_json(tmp_path / "results.json")["runs"]
        if run["kind"] == "student"
    }
    assert len(parameters) == 1
