"""What is run, in which order, and what is not run again; by workers that only pretend."""

import copy
import json
import subprocess
import sys
from concurrent.futures import wait
from pathlib import Path

import pytest
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import environment, executor, process, runner
from structkd_allennlp.suite.executor import LocalExecutor
from structkd_allennlp.suite.files import finished_run
from structkd_allennlp.suite.runner import run_suite
from structkd_allennlp.suite.specification import Suite

WORKER = Path(__file__).with_name("pretended_run.py")


@pytest.fixture(scope="module")
def values_of_fixtures():
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    return {**values, "rows": values["rows"][:2]}


@pytest.fixture
def values(values_of_fixtures):
    return copy.deepcopy(values_of_fixtures)


class Suites:
    """Runs suites in a directory, and tells what that did."""

    def __init__(self, directory, events):
        self.directory = directory
        self._events = events

    def run(self, values, jobs=1):
        """The runs that it says are lacking, and all events."""
        self._events.unlink(missing_ok=True)
        lacking = run_suite(Suite.from_dict(values), self.directory, LocalExecutor(jobs))
        return lacking, self.events()

    def events(self):
        if not self._events.exists():
            return []
        lines = self._events.read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines]

    def did(self, values):
        """Of a call in which nothing fails, what was done to which run."""
        lacking, events = self.run(values)
        assert lacking == []
        return {name: what for name, what, *_ in events if what != "end"}

    def results(self):
        return {run["directory"]: run for run in read_json(self.directory / "results.json")["runs"]}


@pytest.fixture
def suites(tmp_path, monkeypatch):
    events = tmp_path / "events"
    monkeypatch.setattr(
        process,
        "_worker_command",
        lambda job: [sys.executable, "-S", str(WORKER), str(job), str(events)],
    )
    monkeypatch.setattr(environment, "gpus", list)
    monkeypatch.setattr(runner, "write_report", lambda directory: reports.append(directory))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    reports = []
    suites = Suites(tmp_path / "suite", events)
    suites.reports = reports
    return suites


TEACHERS = ["teachers/crf/en", "teachers/crf/es"]
BASELINE = ["students/baseline/seed1", "students/baseline/seed2"]
POSTERIOR = ["students/posterior/seed1", "students/posterior/seed2"]
# In the order of the results.
RUNS = [*TEACHERS, BASELINE[0], POSTERIOR[0], BASELINE[1], POSTERIOR[1]]


def test_a_whole_suite(suites, values):
    lacking, events = suites.run(values)
    assert lacking == []
    started = [(name, what) for name, what, *_ in events if what != "end"]
    expected = [(name, "train") for name in RUNS]
    assert started == [*expected[:2], ("targets.crf", "fill"), *expected[2:]]
    results = read_json(suites.directory / "results.json")
    assert [run["directory"] for run in results["runs"]] == RUNS
    assert {run["status"] for run in results["runs"]} == {"done"}
    assert results["suite"]["rows"] == ["baseline", "posterior"]
    assert results["suite"]["teacher_groups"] == ["crf"]
    assert results["environment"]["jobs"] == 1
    by_name = suites.results()
    assert set(by_name[TEACHERS[1]]["scores"]) == {"es", "pt"}
    assert set(by_name[POSTERIOR[0]]["scores"]) == {"en", "es", "pt"}
    student = by_name[POSTERIOR[1]]
    assert (student["row"], student["seed"], student["teachers"]) == ("posterior", 2, "crf")
    assert student["objective"] == {"type": "posterior"}
    assert read_json(suites.directory / "suite.json") == values
    assert suites.reports == [suites.directory]
    # A second time there is nothing to do.
    assert suites.did(values) == {}
    assert suites.results() == by_name


def test_what_a_student_is_told(suites, values):
    teachers = values["teachers"]["crf"]
    other = {**teachers["en"], "random_seed": 5}
    teachers["en"] = [teachers["en"], other]
    teachers["es"] = {"folds": [teachers["es"], {**teachers["es"], "random_seed": 5}]}
    values["rows"][1]["config"]["model"]["target_store"] = {"half_precision": True}
    assert set(suites.did(values)) > {f"{name}/{i}" for name in TEACHERS for i in (1, 2)}
    job = read_json(suites.directory / "students/posterior/seed2.job.json")
    config = job["config"]
    archives = [
        [str(suites.directory / name / str(i) / "model.tar.gz") for i in (1, 2)]
        for name in TEACHERS
    ]
    assert config["model"]["teachers"] == {"en": archives[0], "es": {"folds": archives[1]}}
    assert config["model"]["target_store"] == {
        "directory": str(suites.directory / "targets"),
        "half_precision": True,
    }
    assert {config[f"{x}_seed"] for x in ("random", "numpy", "pytorch")} == {2}
    # A teacher keeps the seeds of its own.
    job = read_json(suites.directory / "teachers/crf/en/2.job.json")
    assert job["config"] == other
    assert job["entry"]["index"] == 2


def test_one_teacher_of_all_languages(suites, values):
    """Each student learns from the one with its seed, and all of a seed comes before the next."""
    config = copy.deepcopy(values["rows"][0]["config"])
    values["teachers"] = {"multi": {"config": config, "seeds": [1, 2]}}
    values["rows"][1]["teachers"] = "multi"
    values["rows"].append({**copy.deepcopy(values["rows"][1]), "name": "other"})
    expected = [
        (name.format(seed), what)
        for seed in (1, 2)
        for name, what in (
            ("teachers/multi/seed{}", "train"),
            ("targets.multi/seed{}", "fill"),
            ("students/baseline/seed{}", "train"),
            ("students/posterior/seed{}", "train"),
            ("students/other/seed{}", "train"),
        )
    ]
    assert list(suites.did(values).items()) == expected
    results = suites.results()
    for seed in (1, 2):
        teacher = results[f"teachers/multi/seed{seed}"]
        assert (teacher["group"], teacher["language"], teacher["seed"]) == ("multi", None, seed)
        assert set(teacher["scores"]) == {"en", "es", "pt"}
        config = read_json(suites.directory / f"students/posterior/seed{seed}.job.json")["config"]
        archive = suites.directory / teacher["directory"] / "model.tar.gz"
        assert config["model"]["teachers"] == str(archive)
        fill = read_json(suites.directory / f"targets.multi/seed{seed}.job.json")["fill"]
        assert [one["model"]["teachers"] for one in fill] == [str(archive)]
    values["teachers"]["multi"]["config"]["trainer"]["num_epochs"] = 3
    assert set(suites.did(values)) == {name for name, _ in expected if "baseline" not in name}


def test_a_row_teaches_the_next(suites, values):
    rows = values["rows"]
    rows[1] |= {"name": "first", "teachers": "baseline"}
    rows.append({**copy.deepcopy(rows[1]), "name": "second", "teachers": "first", "seeds": [2]})
    values["teachers"] = {}
    names = ["students/baseline/seed{}", "students/first/seed{}", "students/second/seed{}"]
    did = suites.did(values)
    assert {name for name in did if name.startswith("students")} == {
        *(name.format(2) for name in names),
        *(name.format(1) for name in names[:2]),
    }
    order = list(did)
    for seed, teacher, learner in ((1, 0, 1), (2, 0, 1), (2, 1, 2)):
        assert order.index(names[teacher].format(seed)) < order.index(names[learner].format(seed))
    # A student that has a teacher of its own has its data scored itself.
    assert not any(name.startswith("targets") for name in order)
    config = read_json(suites.directory / "students/second/seed2.job.json")["config"]
    archive = suites.directory / "students/first/seed2/model.tar.gz"
    assert config["model"]["teachers"] == str(archive)
    # What changes a generation changes all that come after it.
    rows[1]["config"]["trainer"]["num_epochs"] = 3
    assert {name for name in suites.did(values) if name.startswith("students")} == {
        "students/first/seed1",
        "students/first/seed2",
        "students/second/seed2",
    }


def test_only_what_has_changed_is_run_again(suites, values):
    suites.run(values)
    values["rows"][1]["config"]["trainer"]["num_epochs"] = 3
    changed = dict.fromkeys(POSTERIOR, "train")
    assert suites.did(values) == {**changed, "targets.crf": "fill"}
    # A teacher, and all that learns from it.
    values["teachers"]["crf"]["es"]["trainer"]["num_epochs"] = 3
    assert suites.did(values) == {TEACHERS[1]: "train", **changed, "targets.crf": "fill"}
    # One more seed.
    values["rows"][0]["seeds"].append(3)
    assert suites.did(values) == {"students/baseline/seed3": "train"}
    # Where the configuration looks for teachers is replaced anyway.
    values["rows"][1]["config"]["model"]["teachers"] = "elsewhere"
    assert suites.did(values) == {}


def test_a_changed_test_file_is_evaluated_again(suites, values, tmp_path):
    test = tmp_path / "test.txt"
    test.write_text("Ana B-PER\n")
    values["test"]["es"] = str(test)
    suites.run(values)
    test.write_text("Eva B-PER\n")
    assert suites.did(values) == dict.fromkeys([TEACHERS[1], *BASELINE, *POSTERIOR], "evaluate")
    assert suites.did(values) == {}


def test_a_run_that_was_lost_is_done_again(suites, values):
    suites.run(values)
    for name in ("run.json", "counts.json"):
        (suites.directory / BASELINE[0] / name).unlink()
        did = suites.did(values)
        # Its directory is still that of the same configuration.
        assert list(did) == [BASELINE[0]]
    (suites.directory / BASELINE[0] / "run.json").write_text("{")
    assert suites.did(values) == {BASELINE[0]: "recover"}


def test_an_interrupted_run_goes_on_unless_it_is_another(suites, values):
    values["rows"][0]["config"]["fail"] = True
    lacking, _ = suites.run(values)
    assert lacking == BASELINE
    lacking, events = suites.run(values)
    assert [event[:2] for event in events] == [(name, "recover") for name in BASELINE]
    values["rows"][0]["config"]["fail"] = False
    assert suites.did(values) == dict.fromkeys(BASELINE, "train")


def test_a_failure_stops_only_what_needs_it(suites, values, capsys):
    values["teachers"]["crf"]["en"]["fail"] = True
    lacking, events = suites.run(values)
    assert lacking == [TEACHERS[0], *POSTERIOR]
    assert {name for name, *_ in events} == {*TEACHERS, *BASELINE}
    results = suites.results()
    failed = results[TEACHERS[0]]
    assert failed["status"] == "failed"
    assert failed["error"] == "progress\nmore progress\nwhat went wrong"
    for name in POSTERIOR:
        assert results[name]["status"] == "waiting"
        assert results[name]["error"] == f"needs {TEACHERS[0]}"
    assert {results[name]["status"] for name in (*BASELINE, TEACHERS[1])} == {"done"}
    assert suites.reports == [suites.directory]
    printed = capsys.readouterr().out
    assert f"{TEACHERS[0]}: failed" in printed
    assert "what went wrong" in printed
    # What was done is not done again once the cause is gone.
    values["teachers"]["crf"]["en"]["fail"] = False
    assert set(suites.did(values)) == {TEACHERS[0], *POSTERIOR, "targets.crf"}


def test_students_do_without_a_filled_store(suites, values):
    values["rows"][1]["config"]["fail_fill"] = True
    lacking, events = suites.run(values)
    assert lacking == []
    assert ("targets.crf", "fill") in [event[:2] for event in events]


def test_several_at_a_time(suites, values, monkeypatch):
    monkeypatch.setattr(environment, "cores", lambda: 6)
    lacking, events = suites.run(values, jobs=2)
    assert lacking == []
    assert {threads for _, _, threads, _ in events} == {"3"}
    running, most = set(), 0
    for name, what, *_ in events:
        if name not in RUNS:
            # Teachers are done, and students that need them wait.
            assert not running & {*TEACHERS, *POSTERIOR}
        elif what == "end":
            running.remove(name)
        else:
            running.add(name)
            most = max(most, len(running))
    assert most <= 2


def test_each_gets_a_gpu(suites, values, monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["3", "5"])
    _, events = suites.run(values, jobs=None)
    assert read_json(suites.directory / "results.json")["environment"]["jobs"] == 2
    assert {gpu for *_, gpu in events} == {"3", "5"}
    assert {threads for _, _, threads, _ in events} == {None}


def test_one_process_a_directory(suites, values):
    suites.directory.mkdir()
    refused = pytest.raises(ConfigurationError, match="another process is running a suite")
    with runner.FileLock(str(suites.directory / "suite.lock")), refused:
        suites.run(values)
    assert suites.events() == []
    # It is free again, also after a failure.
    values["rows"][0]["config"]["fail"] = True
    assert suites.run(values)[0] == BASELINE
    assert suites.run(values)[0] == BASELINE


@pytest.mark.parametrize("jobs", [0, -1])
def test_bad_arguments(suites, values, jobs, tmp_path):
    with pytest.raises(ConfigurationError, match=f"--jobs is {jobs}: give 1 or more"):
        suites.run(values, jobs=jobs)
    (tmp_path / "file").write_text("")
    suites.directory = tmp_path / "file"
    with pytest.raises(ConfigurationError, match="file cannot be created"):
        suites.run(values)


def test_an_interruption(suites, values, monkeypatch):
    """Every process is gone, and results and report are there."""
    values["rows"][0]["config"]["hang"] = True
    processes = []
    original = subprocess.Popen

    def recording(*args, **kwargs):
        processes.append(original(*args, **kwargs))
        return processes[-1]

    def interrupt(futures, return_when):
        while True:
            done = wait(futures, 0.05, return_when).done
            if any(event[:2] == (BASELINE[0], "train") for event in suites.events()):
                raise KeyboardInterrupt
            if done:
                return wait(futures, 0)

    monkeypatch.setattr(subprocess, "Popen", recording)
    monkeypatch.setattr(executor, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        suites.run(values)
    monkeypatch.setattr(executor, "wait", wait)
    assert processes[-1].poll() == -15
    results = suites.results()
    assert [results[name]["status"] for name in RUNS] == ["done"] * 2 + ["waiting"] * 4
    assert suites.reports == [suites.directory]
    values["rows"][0]["config"]["hang"] = False
    did = suites.did(values)
    assert did == {**dict.fromkeys([*BASELINE, *POSTERIOR], "train"), "targets.crf": "fill"}


def test_results_outlive_a_report_that_fails(suites, values, monkeypatch):
    def fail(directory):
        raise ValueError

    monkeypatch.setattr(runner, "write_report", fail)
    assert suites.run(values)[0] == ["the report"]
    assert {run["status"] for run in suites.results().values()} == {"done"}


def test_no_finished_run(tmp_path):
    assert finished_run(tmp_path) is None
    assert finished_run(Path("no/such")) is None
