"""A change of this code makes no finished run an unfinished one."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import checks
from structkd_allennlp.suite import plan as module
from structkd_allennlp.suite.jobs import TrainJob, job_of
from structkd_allennlp.suite.plan import digest, plan
from structkd_allennlp.suite.specification import Suite

RESULTS = Path("docs/results")


@pytest.fixture
def no_corpora(monkeypatch):
    """Only the evaluation depends on what is in the files."""
    for where in (checks, module):
        monkeypatch.setattr(where, "file_of", lambda path: RESULTS / "README.md")


def entries(suite, directory):
    steps = plan(suite, directory)
    return [asdict(step.job.entry) for step in steps if isinstance(step.job, TrainJob)]


@pytest.mark.parametrize("name", ["aspect", "conll2002", "ud", "wikiann"])
def test_the_digests_are_those_of_the_committed_results(name, no_corpora, tmp_path):
    suite = Suite.from_dict(read_json(RESULTS / name / "suite.json"))
    results = read_json(RESULTS / name / "results.json")
    assert digest(suite.as_dict()) == results["suite"]["digest"]
    for entry, run in zip(entries(suite, tmp_path), results["runs"], strict=True):
        assert entry.items() <= run.items()


def test_a_callback_that_records_makes_no_other_model(no_corpora, tmp_path):
    values = read_json(RESULTS / "ud" / "suite.json")
    before = entries(Suite.from_dict(values), tmp_path)
    for config in [row["config"] for row in values["rows"]] + [values["teachers"]["crf"]["de"]]:
        own = config["trainer"].setdefault("callbacks", [])
        own.append("epoch_record")
    assert entries(Suite.from_dict(values), tmp_path) == before
    values["rows"][0]["config"]["trainer"]["callbacks"].append("should_validate_callback")
    assert entries(Suite.from_dict(values), tmp_path) != before


def test_a_job_survives_its_file(tmp_path):
    suite = Suite.from_file("training_configs/suites/fixtures.jsonnet")
    steps = plan(suite, tmp_path, ["package"])
    assert len({type(step.job) for step in steps}) == 2
    for step in steps:
        assert job_of(asdict(step.job)) == step.job


def test_the_digest_of_an_evaluation(tmp_path):
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    test = tmp_path / "test.txt"
    test.write_text("Ana B-PER\n")
    values |= {"zero_shot": {}, "test": dict.fromkeys(values["test"], str(test))}
    step = plan(Suite.from_dict(values), tmp_path)[0]
    # Of the metric, and of the path and the content of each test file.
    content = "907d46a0fc507b597e29b8ecf0ec55551058000f9c30d1284746bf054e8f9c19"
    text = f'["f1-measure",{{"en":["{test}","{content}"]}}]'
    assert step.job.evaluation_digest == hashlib.sha256(text.encode()).hexdigest()


def sources(config):
    model = config["model"].get("student", config["model"])
    return [one.get("source") for _, one in model["initializer"]["regexes"]]


def digests(values, directory):
    found = entries(Suite.from_dict(values), directory)
    return {entry["directory"]: entry["digest"] for entry in found}


def test_a_row_that_starts_from_a_teacher(tmp_path):
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    before = digests(values, tmp_path)
    regexes = [["crf", {"type": "zero"}], [".*", {"type": "copied"}]]
    values["rows"][0]["config"]["model"]["initializer"] = {"regexes": regexes}
    values["rows"][0]["initialize_from"] = "crf/en"
    suite = Suite.from_dict(values)
    assert Suite.from_dict(suite.as_dict()) == suite
    steps = {step.name: step for step in plan(suite, tmp_path)}
    student = steps["students/baseline/seed2"]
    assert [step.name for step in student.needs] == ["teachers/crf/en"]
    assert sources(student.job.config) == [None, f"{tmp_path}/teachers/crf/en/model.tar.gz"]
    # The suite's own file has none.
    assert sources(suite.rows[0].config) == [None, None]
    # The row is another one now, and no other row is; where the source lies does not count.
    found = digests(values, tmp_path)
    students = {"students/baseline/seed1", "students/baseline/seed2"}
    assert {name for name in found if found[name] != before[name]} == students
    assert digests(values, tmp_path / "elsewhere") == found
    # Another teacher makes another student.
    values["teachers"]["crf"]["es"]["trainer"]["num_epochs"] = 2
    assert students.isdisjoint(dict(digests(values, tmp_path).items() - found.items()))
    values["teachers"]["crf"]["en"]["trainer"]["num_epochs"] = 2
    assert students < dict(digests(values, tmp_path).items() - found.items()).keys()


def test_a_student_starts_from_the_model_with_its_own_seed(tmp_path):
    """Of a teacher of all languages, which also teaches it, or of a row above."""
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    config = values["rows"][0]["config"]
    values["teachers"] = {"crf": {"config": config, "seeds": [1, 2]}}
    copied = {"regexes": [[".*", {"type": "copied"}]]}
    for row, start in zip(values["rows"][1:], ("crf", "posterior"), strict=True):
        row["config"]["model"]["student"]["initializer"] = copied
        row["initialize_from"] = start
    steps = {step.name: step for step in plan(Suite.from_dict(values), tmp_path)}
    student = steps["students/posterior/seed2"]
    assert [step.name for step in student.needs] == ["teachers/crf/seed2"]
    assert sources(student.job.config) == [f"{tmp_path}/teachers/crf/seed2/model.tar.gz"]
    assert student.job.config["model"]["teachers"] == sources(student.job.config)[0]
    student = steps["students/structural/seed1"]
    assert [step.name for step in student.needs] == [
        "teachers/crf/seed1",
        "students/posterior/seed1",
    ]
    assert sources(student.job.config) == [f"{tmp_path}/students/posterior/seed1/model.tar.gz"]
