"""A change of this code makes no finished run an unfinished one."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path, PosixPath

import pytest

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import checks, specification
from structkd_allennlp.suite import plan as module
from structkd_allennlp.suite.jobs import TrainJob, job_of
from structkd_allennlp.suite.plan import digest, plan
from structkd_allennlp.suite.specification import Suite

RESULTS = Path("docs/results")


class ThereAnyway(PosixPath):
    def exists(self):
        return True


@pytest.fixture
def no_corpora(monkeypatch):
    """Only the evaluation depends on what is in the files; nor are pre-trained encoders here."""
    for where in (checks, module):
        monkeypatch.setattr(where, "file_of", lambda path: RESULTS / "README.md")
    monkeypatch.setattr(specification, "Path", ThereAnyway)


def entries(suite, directory):
    steps = plan(suite, directory)
    return [asdict(step.job.entry) for step in steps if isinstance(step.job, TrainJob)]


@pytest.mark.parametrize(
    "name",
    sorted(path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.glob("**/suite.json")),
)
def test_the_digests_are_those_of_the_committed_results(name, no_corpora, tmp_path):
    suite = Suite.from_dict(read_json(RESULTS / name / "suite.json"))
    results = read_json(RESULTS / name / "results.json")
    assert digest(suite.as_dict()) == results["suite"]["digest"]
    for entry, run in zip(entries(suite, tmp_path), results["runs"], strict=True):
        # Which runs a student learns from was not written down then.
        assert {key: entry[key] for key in entry if key in run}.items() <= run.items()


def test_a_callback_that_records_makes_no_other_model(no_corpora, tmp_path):
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    before = entries(Suite.from_dict(values), tmp_path)
    for config in [row["config"] for row in values["rows"]] + [values["teachers"]["crf"]["en"]]:
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


def jobs(values, directory):
    found = plan(Suite.from_dict(values), directory)
    return {step.name: step.job for step in found if isinstance(step.job, TrainJob)}


def models_of(job, directory):
    """The teachers that a student is told of, without what all have in common."""
    text = json.dumps(job.config["model"]["teachers"])
    return json.loads(text.replace(f"{directory}/teachers/", "").replace("/model.tar.gz", ""))


def seeds_of(job):
    return {job.config[f"{kind}_seed"] for kind in ("random", "numpy", "pytorch")}


@pytest.fixture
def taught(tmp_path):
    """By groups, or one, and what each row learns from, all jobs, and what each student is told."""

    def make(group, *names, seeds=(1, 2)):
        values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
        baseline, row = values["rows"][:2]
        rows = [
            {**row, "name": f"row{i}", "teachers": name, "seeds": list(seeds)}
            for i, name in enumerate(names)
        ]
        groups = group if isinstance(group, dict) else {"g": group}
        teachers = {name: of(baseline["config"]) for name, of in groups.items()}
        values |= {"teachers": teachers, "rows": [baseline, *rows]}
        found = jobs(values, tmp_path)
        told = {
            (i, seed): models_of(found[f"students/row{i}/seed{seed}"], tmp_path)
            for i in range(len(names))
            for seed in seeds
        }
        return found, told

    return make


def test_an_ensemble_for_each_seed(taught):
    group = {"seeds": [1, 2], "members": 3}
    found, told = taught(lambda config: {**group, "config": config}, "g", "g/1")
    for seed in (1, 2):
        members = [f"g/seed{seed}/{i}" for i in (1, 2, 3)]
        assert told[0, seed] == members
        assert told[1, seed] == members[0]
    teachers = {name: job for name, job in found.items() if name.startswith("teachers")}
    assert len(teachers) == 6
    # All with seeds of their own, the first with that of the suite.
    assert len({next(iter(seeds_of(job))) for job in teachers.values()}) == 6
    assert len({job.entry.digest for job in teachers.values()}) == 6
    assert seeds_of(teachers["teachers/g/seed2/1"]) == {2}
    student = found["students/row0/seed2"].entry
    assert student.teacher_runs == [f"teachers/g/seed2/{i}" for i in (1, 2, 3)]
    assert (student.teachers, student.seed) == ("g", 2)
    member = found["teachers/g/seed2/3"].entry
    assert (member.group, member.seed, member.index, member.language) == ("g", 2, 3, None)
    # The first is the model that there is without members; so is what learns from it alone.
    alone, _ = taught(lambda config: {"config": config, "seeds": [1, 2]}, "g")
    one = alone["teachers/g/seed2"].entry.digest
    assert one == teachers["teachers/g/seed2/1"].entry.digest
    assert alone["students/row0/seed2"].entry.digest == found["students/row1/seed2"].entry.digest
    assert alone["students/row0/seed2"].entry.digest != student.digest


def test_students_whose_seed_the_teachers_lack(taught):
    found, told = taught(
        lambda config: {"config": config, "seeds": [1, 2]}, "g", seeds=[5, 2, 1, 4, 3]
    )
    assert {seed: name for (_, seed), name in told.items()} == {
        seed: f"g/seed{teacher}" for seed, teacher in {1: 1, 2: 2, 3: 1, 4: 2, 5: 1}.items()
    }
    assert found["students/row0/seed5"].entry.teacher_runs == ["teachers/g/seed1"]
    # Its own seed, where there is one, and another only where there is none.
    _, told = taught(lambda config: {"config": config, "seeds": [3, 1]}, "g", seeds=[1, 2, 3])
    assert told == {(0, 1): "g/seed1", (0, 2): "g/seed1", (0, 3): "g/seed3"}


def test_teachers_of_each_language_for_each_seed(taught):
    def group(config):
        return {"by_language": {"en": config, "es": config}, "seeds": [1, 2]}

    found, told = taught(group, "g", seeds=[2, 3])
    assert told[0, 2] == {"en": "g/seed2/en", "es": "g/seed2/es"}
    assert told[0, 3] == {"en": "g/seed1/en", "es": "g/seed1/es"}
    assert seeds_of(found["teachers/g/seed2/es"]) == {2}
    assert set(found["teachers/g/seed2/es"].tests) == {"es", "pt"}
    _, told = taught(lambda config: {**group(config), "members": 2}, "g", "g/2")
    assert told[0, 2] == {x: [f"g/seed2/{x}/{i}" for i in (1, 2)] for x in ("en", "es")}
    assert told[1, 2] == {x: f"g/seed2/{x}/2" for x in ("en", "es")}


def test_cross_fitted_teachers_for_each_seed(taught):
    def group(config):
        path = config["train_data_path"]
        folds = [{**config, "train_data_path": f"{path}#not-fold={i}of2"} for i in (1, 2)]
        return {"config": {"folds": folds}, "seeds": [1, 2]}

    found, told = taught(group, "g")
    assert told[0, 2] == {"folds": ["g/seed2/1", "g/seed2/2"]}
    assert seeds_of(found["teachers/g/seed2/1"]) == {2}
    assert seeds_of(found["teachers/g/seed2/2"]) == {1_000_002}


def test_several_groups_teach_together(taught):
    found, told = taught(
        {
            "two": lambda config: {"config": config, "seeds": [1, 2], "members": 2},
            "one": lambda config: {"config": config, "seeds": [1, 2]},
            "each": lambda config: {"by_language": {"en": config, "es": config}, "seeds": [1]},
        },
        ["two", "one"],
        ["one", "each", "two/2"],
        ["one", "row0"],
        ["one"],
        "one",
    )
    assert told[0, 2] == ["two/seed2/1", "two/seed2/2", "one/seed2"]
    assert told[1, 2] == {x: ["one/seed2", f"each/seed1/{x}", "two/seed2/2"] for x in ("en", "es")}
    assert told[2, 2][0] == "one/seed2"
    assert told[2, 2][1].endswith("students/row0/seed2")
    assert told[3, 2] == told[4, 2] == "one/seed2"
    student = found["students/row0/seed2"].entry
    assert student.teacher_runs == [f"teachers/{name}" for name in told[0, 2]]
    assert student.teachers == "two+one"
    # A list of one is that one.
    assert found["students/row3/seed2"].entry.digest == found["students/row4/seed2"].entry.digest


def test_scores_of_those_that_teach_together(tmp_path):
    """Are stored for all of their students, once for each set of teachers."""
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    baseline, row = values["rows"][:2]
    config = baseline["config"]
    rows = [
        {**row, "name": f"row{i}", "teachers": ["a", "b"], "seeds": [1, 2, 3]} for i in range(2)
    ]
    values |= {
        "teachers": {name: {"config": config, "seeds": [1, 2]} for name in "ab"},
        "rows": [baseline, *rows],
    }
    steps = plan(Suite.from_dict(values), tmp_path)
    fills = {step.name: step for step in steps if not isinstance(step.job, TrainJob)}
    assert list(fills) == [f"targets.a/seed{i}+b/seed{i}" for i in (1, 2)]
    assert [step.name for step in fills["targets.a/seed2+b/seed2"].needs] == [
        "teachers/a/seed2",
        "teachers/b/seed2",
    ]
    waiting = [step.name for step in steps if fills["targets.a/seed1+b/seed1"] in step.after]
    assert waiting == [f"students/row{i}/seed{seed}" for seed in (1, 3) for i in range(2)]


@pytest.mark.parametrize("start", ["g/1", "g/2"])
def test_a_student_starts_from_a_member(tmp_path, start):
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    config = values["rows"][0]["config"]
    values["teachers"] = {"g": {"config": dict(config), "seeds": [1, 2], "members": 2}}
    values["rows"] = values["rows"][:1]
    config["model"]["initializer"] = {"regexes": [[".*", {"type": "copied"}]]}
    values["rows"][0] |= {"initialize_from": start, "seeds": [3]}
    values["teachers"]["g"]["config"] = {**config, "model": {**config["model"]}}
    del values["teachers"]["g"]["config"]["model"]["initializer"]
    student = jobs(values, tmp_path)["students/baseline/seed3"]
    place = f"teachers/g/seed1/{start[-1]}"
    assert sources(student.config) == [f"{tmp_path}/{place}/model.tar.gz"]
    assert student.entry.initial_run == place


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
