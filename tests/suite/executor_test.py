"""In which order steps run and what a failure does to others, whatever it is that runs them."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.suite import executor as module
from structkd_allennlp.suite import process
from structkd_allennlp.suite.executor import Executor, JobFailed, LocalExecutor
from structkd_allennlp.suite.jobs import Step, TargetsJob


class Pretended(Executor):
    """Steps with these names fail; the others leave their name."""

    def __init__(self, slots, failing=()):
        super().__init__(slots)
        self.failing = failing
        self.pool = ThreadPoolExecutor(slots)
        self.submitted, self.running, self.most = [], 0, 0
        self.lock = threading.Lock()

    def submit(self, step, directory):
        assert all(x.state == "done" for x in step.needs)
        assert all(x.state in ("done", "failed", "blocked") for x in step.after)
        self.submitted.append(step.name)
        return self.pool.submit(self.work, step)

    def work(self, step):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        with self.lock:
            self.running -= 1
        if step.name in self.failing:
            raise JobFailed(f"{step.name} went wrong")
        return {"left": step.name}

    def stop(self):
        self.pool.shutdown(cancel_futures=True)


def make(name, needs=(), after=(), state="waiting"):
    return Step(name, TargetsJob([], []), name, needs, after, state)


@st.composite
def plans(draw):
    """Some steps, each with some of the earlier ones, and the names of those that fail."""
    steps = []
    for i in range(draw(st.integers(1, 9))):
        earlier = (
            st.lists(st.sampled_from(steps), unique=True, max_size=3) if steps else st.just(())
        )
        state = draw(st.sampled_from(["waiting", "waiting", "waiting", "done"]))
        steps.append(make(f"s{i}", draw(earlier), draw(earlier), state))
    failing = draw(st.sets(st.sampled_from([step.name for step in steps])))
    return steps, failing


@given(plans(), st.integers(1, 3))
def test_every_step_gets_its_due(plan, slots):
    steps, failing = plan
    done_before = {step.name for step in steps if step.state == "done"}
    events = []
    executor = Pretended(slots, failing)
    executor.run(steps, Path("."), lambda step: events.append((step.name, step.state)))
    assert executor.most <= slots
    for step in steps:
        own = [state for name, state in events if name == step.name]
        if step.name in done_before:
            assert (step.state, own) == ("done", [])
        elif lacking := [x.name for x in step.needs if x.state != "done"]:
            assert (step.state, own) == ("blocked", ["blocked"])
            assert step.error == f"needs {', '.join(lacking)}"
        elif step.name in failing:
            assert (step.state, own) == ("failed", ["running", "failed"])
            assert step.error == f"{step.name} went wrong"
        else:
            assert (step.state, own) == ("done", ["running", "done"])
            assert step.result == {"left": step.name}


def test_the_first_of_those_that_can_run_comes_first():
    first, last = make("first"), make("last")
    middle = make("middle", needs=[first])
    executor = Pretended(1)
    executor.run([first, middle, last], Path("."), lambda step: None)
    assert executor.submitted == ["first", "middle", "last"]


def test_an_error_of_ours_ends_it():
    """It is no failure of the job, and what did not get to its end is waiting again."""

    class Broken(Pretended):
        def work(self, step):
            raise OSError("no space")

    steps = [make("a"), make("b")]
    with pytest.raises(OSError, match="no space"):
        Broken(1).run(steps, Path("."), lambda step: None)
    assert [step.state for step in steps] == ["waiting", "waiting"]


def test_a_job_that_does_not_want_to_end(tmp_path, monkeypatch):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True);"
    monkeypatch.setattr(
        process,
        "_worker_command",
        lambda job: [sys.executable, "-S", "-c", code + "time.sleep(60)"],
    )
    monkeypatch.setattr(process, "_PATIENCE_SECONDS", 0.2)
    step, other = make("stubborn"), make("other")
    executor = LocalExecutor(1)

    def interrupted(futures, return_when):
        log = tmp_path / "stubborn.log"
        while not (log.exists() and log.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    processes = []
    original = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: processes.append(original(*a, **k)) or processes[-1]
    )
    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.run([step, other], tmp_path, lambda step: None)
    assert [process.poll() for process in processes] == [-signal.SIGKILL]
    assert (step.state, other.state) == ("waiting", "waiting")
    # Nothing starts after the end.
    with pytest.raises(RuntimeError):
        executor.submit(other, tmp_path)
    assert not os.path.exists(tmp_path / "other.log")
