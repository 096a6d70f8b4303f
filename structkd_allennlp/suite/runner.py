"""Runs a suite: what is not done yet, each run in a process of its own, several at a time."""

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Dict, List, Optional, Sequence

from allennlp.common.checks import ConfigurationError
from filelock import FileLock, Timeout
from rich.console import Console
from rich.live import Live
from rich.table import Table

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.suite import environment
from structkd_allennlp.suite.files import finished_run
from structkd_allennlp.suite.specification import (
    Config,
    Row,
    Suite,
    configs_of,
    file_of,
    with_configs_replaced,
)

logger = logging.getLogger(__name__)

_SEEDS = ("random_seed", "numpy_seed", "pytorch_seed")
_POLL_SECONDS = 0.2
# How long a stopped run gets to end by itself.
_PATIENCE_SECONDS = 5
_LINES_OF_LOG = 15


@dataclass(eq=False)
class Job:
    """
    What one process does.

    # Parameters

    name : `str`
        Also its path in the directory of the suite, without the ending of its log.
    description : `Dict[str, Any]`
        What the worker is told.
    like : `str`
        Jobs that are alike in this take about as long.
    needs : `List[Job]`
        Those that have to be done before.
    after : `List[Job]`
        Those that are worth waiting for, whether they succeed or not.
    """

    name: str
    description: Dict[str, Any]
    like: str
    needs: List["Job"] = field(default_factory=list)
    after: List["Job"] = field(default_factory=list)
    # "waiting", "running", "done", "failed", or "blocked" by the failure of what it needs.
    state: str = "waiting"
    error: Optional[str] = None
    # Whether there is a model of this configuration, even if it has yet to be evaluated.
    trained: bool = False
    # What it has left, once it is done.
    result: Dict[str, Any] = field(default_factory=dict)

    @property
    def is_run(self) -> bool:
        """Whether it trains a model, and so has an entry in the results."""
        return "entry" in self.description

    def settle(self) -> None:
        """Notes the failure of what it needs."""
        lacking = [job.name for job in self.needs if job.state in ("failed", "blocked")]
        if self.state == "waiting" and lacking:
            self.state = "blocked"
            self.error = f"needs {', '.join(lacking)}"

    @property
    def ready(self) -> bool:
        return (
            self.state == "waiting"
            and all(job.state == "done" for job in self.needs)
            and all(job.state in ("done", "failed", "blocked") for job in self.after)
        )

    def entry(self) -> Dict[str, Any]:
        """Its entry in the results."""
        status = self.state if self.state in ("done", "failed") else "waiting"
        entry = {**self.description["entry"], "status": status, "error": self.error}
        return {**self.result, **entry}


@dataclass
class _Process:
    job: Job
    popen: "subprocess.Popen[bytes]"
    log: Path
    started: float = field(default_factory=time.monotonic)


def digest(value: Any) -> str:
    """The SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plan(suite: Suite, directory: Path, packages: Sequence[str] = ()) -> List[Job]:
    """
    All that a suite consists of, in the order in which it is worth doing: the teachers, their
    scores of the training data, and the students, seed by seed. What has been done is marked so.

    # Parameters

    suite : `Suite`
    directory : `Path`
    packages : `Sequence[str]`, optional
        What else the workers have to import.
    """
    planner = _Planner(suite, directory, packages)
    groups = {group: planner.teachers(group) for group in suite.teachers}
    seeds = dict.fromkeys(seed for row in suite.rows for seed in row.seeds)
    students = [
        planner.student(row, seed, groups)
        for seed in seeds
        for row in suite.rows
        if seed in row.seeds
    ]
    fills: List[Job] = []
    for group, teachers in groups.items():
        own = [x for x in students if x.description["entry"]["teachers"] == group]
        if not all(student.trained for student in own):
            fill = planner.fill(group, own, [job for jobs in teachers.values() for job in jobs])
            fills.append(fill)
            for student in own:
                student.after.append(fill)
    teacher_jobs = [job for group in groups.values() for jobs in group.values() for job in jobs]
    return [*teacher_jobs, *fills, *students]


_Group = Dict[str, List[Job]]


class _Planner:
    def __init__(self, suite: Suite, directory: Path, packages: Sequence[str]) -> None:
        self._suite = suite
        self._directory = directory
        self._packages = list(packages)
        # A test file may be large, and each is that of many runs.
        self._contents = {
            path: hashlib.sha256(file_of(path).read_bytes()).hexdigest()
            for path in {**suite.test, **suite.zero_shot}.values()
        }

    def teachers(self, group: str) -> _Group:
        jobs: _Group = {}
        for language, teacher in self._suite.teachers[group].items():
            configs = configs_of(teacher)
            is_one = configs == [teacher]
            jobs[language] = []
            for i, config in enumerate(configs, start=1):
                name = f"teachers/{group}/{language}" + ("" if is_one else f"/{i}")
                entry = self._entry(
                    "teacher", config, group=group, language=language, index=None if is_one else i
                )
                tests = {language: self._suite.test[language], **self._suite.zero_shot}
                job = self._job(name, entry, config, digest(config), tests, f"teachers/{group}")
                jobs[language].append(job)
        return jobs

    def student(self, row: Row, seed: int, groups: Dict[str, _Group]) -> Job:
        config = {**deepcopy(row.config), **dict.fromkeys(_SEEDS, seed)}
        entry = self._entry("student", config, row=row.name, seed=seed, teachers=row.teachers)
        identity = config
        needs: List[Job] = []
        if row.teachers is not None:
            group = groups[row.teachers]
            needs = [job for jobs in group.values() for job in jobs]
            # Where the teachers and their scores lie is no part of what the student is.
            store = {**(config["model"].get("target_store") or {}), "directory": None}
            identity = _with_model(
                config,
                teachers=self._archives(
                    row.teachers, group, lambda job: job.description["entry"]["digest"]
                ),
                target_store=store,
            )
            config = _with_model(
                config,
                teachers=self._archives(
                    row.teachers,
                    group,
                    lambda job: f"{job.description['directory']}/model.tar.gz",
                ),
                target_store={**store, "directory": str(self._directory / "targets")},
            )
        name = f"students/{row.name}/seed{seed}"
        tests = {**self._suite.test, **self._suite.zero_shot}
        job = self._job(name, entry, config, digest(identity), tests, f"students/{row.name}")
        job.needs = needs
        return job

    def fill(self, group: str, students: List[Job], teachers: List[Job]) -> Job:
        # Students that train on the same data need the same scores.
        data = {
            digest([config["dataset_reader"], config["train_data_path"]]): config
            for config in (student.description["config"] for student in students)
        }
        description = {"fill": list(data.values()), "include_package": self._packages}
        name = f"targets.{group}"
        return Job(name, description, "targets", needs=teachers)

    def _archives(self, name: str, group: _Group, value: Any) -> Dict[str, Any]:
        """The teachers of a group in the form of the suite, each by some value of its job."""
        return {
            language: with_configs_replaced(
                self._suite.teachers[name][language], [value(job) for job in jobs]
            )
            for language, jobs in group.items()
        }

    def _entry(self, kind: str, config: Config, **identity: Any) -> Dict[str, Any]:
        none = dict.fromkeys(("group", "language", "index", "row", "seed", "teachers"))
        objective = config["model"].get("objective")
        return {"kind": kind, **none, **identity, "objective": objective}

    def _job(
        self,
        name: str,
        entry: Dict[str, Any],
        config: Config,
        own_digest: str,
        tests: Dict[str, str],
        like: str,
    ) -> Job:
        metric = self._suite.metric
        files = {language: [path, self._contents[path]] for language, path in tests.items()}
        evaluation = digest([metric, files])
        directory = self._directory / name
        entry |= {"directory": name, "digest": own_digest, "status": "done", "error": None}
        description = {
            "entry": entry,
            "directory": str(directory),
            "config": config,
            "tests": tests,
            "metric": metric,
            "evaluation_digest": evaluation,
            "include_package": self._packages,
        }
        job = Job(name, description, like)
        _mark_if_done(job)
        return job


def _with_model(config: Config, **changes: Any) -> Config:
    return {**config, "model": {**config["model"], **changes}}


def _mark_if_done(job: Job) -> bool:
    found = finished_run(Path(job.description["directory"]))
    if found is None or found["digest"] != job.description["entry"]["digest"]:
        return False
    job.trained = True
    if found["evaluation_digest"] != job.description["evaluation_digest"]:
        return False
    job.state, job.error, job.result = "done", None, found
    return True


def run_suite(
    suite: Suite,
    directory: Path,
    jobs: Optional[int] = None,
    packages: Sequence[str] = (),
    console: Optional[Console] = None,
) -> List[str]:
    """
    Does all of a suite that is not done yet, and writes its results and its report. A run that
    fails stops only what depends on it.

    # Parameters

    suite : `Suite`
    directory : `Path`
    jobs : `int`, optional (default = the number of GPUs, or else 1)
        How many runs to do at a time.
    packages : `Sequence[str]`, optional
        What else the workers have to import.
    console : `Console`, optional
        Where to show progress.

    # Returns

    `List[str]` : what failed, and what could not be done for that reason.

    # Raises

    `ConfigurationError` for a directory in which another process runs a suite.
    """
    if jobs is not None and jobs < 1:
        raise ConfigurationError(f"--jobs is {jobs}: give 1 or more")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} can not be made ({error.strerror}): choose another directory"
        ) from error
    lock = FileLock(str(directory / "suite.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigurationError(
            f"{directory}: another process runs a suite in this directory: wait for it, stop it, "
            "or choose another directory"
        ) from error
    with held:
        return _Runner(suite, directory, jobs, packages, console or Console()).run()


class _Runner:
    def __init__(
        self,
        suite: Suite,
        directory: Path,
        jobs: Optional[int],
        packages: Sequence[str],
        console: Console,
    ) -> None:
        self._suite = suite
        self._directory = directory
        self._console = console
        self._gpus = environment.gpus()
        self._slots: List[Optional[_Process]] = [None] * (jobs or len(self._gpus) or 1)
        self._jobs = plan(suite, directory, packages)
        self._durations: Dict[str, List[float]] = {}
        for job in self._jobs:
            if job.state == "done":
                self._durations.setdefault(job.like, []).append(job.result["seconds"])
        self._environment = _environment(len(self._slots))

    def run(self) -> List[str]:
        write_json(self._directory / "suite.json", self._suite.as_dict())
        self._write_results()
        done = sum(job.state == "done" for job in self._jobs)
        self._say(f"{done} of {len(self._jobs)} done already; {len(self._slots)} at a time")
        reported = False
        try:
            live = Live(console=self._console, auto_refresh=False, transient=True)
            with live if self._console.is_terminal else nullcontext() as display:
                while self._step():
                    if display is not None:
                        display.update(self._table(), refresh=True)
                    time.sleep(_POLL_SECONDS)
        finally:
            self._stop()
            self._write_results()
            reported = self._report()
        for job in self._jobs:
            if job.state in ("failed", "blocked"):
                self._say(f"{job.name}: {'failed' if job.state == 'failed' else job.error}")
        lacking = [job.name for job in self._jobs if job.state != "done" and job.is_run]
        return lacking if reported else [*lacking, "the report"]

    def _step(self) -> bool:
        """Sees to what has ended, and starts what can be. Returns whether anything goes on."""
        for slot, process in enumerate(self._slots):
            if process is not None and process.popen.poll() is not None:
                self._slots[slot] = None
                self._finish(process)
        for job in self._jobs:
            # What it needs comes before it, so that a failure gets through to the last in one go.
            job.settle()
            if job.ready and None in self._slots:
                self._start(job, self._slots.index(None))
        return any(self._slots)

    def _start(self, job: Job, slot: int) -> None:
        path = self._directory / job.name
        job_file, log = (path.with_name(path.name + ending) for ending in (".job.json", ".log"))
        if job.is_run and _last_digest(job_file) != job.description["entry"]["digest"]:
            # It was another configuration, so there is nothing in it to go on from.
            shutil.rmtree(path, ignore_errors=True)
        write_json(job_file, job.description)
        variables = dict(os.environ)
        if self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        else:
            threads = max(1, environment.cores() // len(self._slots))
            variables.setdefault("OMP_NUM_THREADS", str(threads))
        with log.open("wb") as file:
            popen = subprocess.Popen(
                _worker_command(job_file),
                # When this process ends in whatever way, the worker reads the end of this.
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=variables,
                # A Ctrl-C is ours to deal with.
                start_new_session=True,
            )
        job.state = "running"
        self._slots[slot] = _Process(job, popen, log)
        self._say(f"{job.name}: started (its log is {log})")

    def _finish(self, process: _Process) -> None:
        job, seconds = process.job, time.monotonic() - process.started
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        succeeded = process.popen.returncode == 0
        if succeeded and job.is_run:
            succeeded = _mark_if_done(job)
        if not succeeded:
            job.state, job.error = "failed", _last_lines(process.log)
            self._say(f"{job.name}: failed. The last lines of {process.log}:\n{job.error}")
        else:
            job.state = "done"
            self._durations.setdefault(job.like, []).append(seconds)
            scores = job.result.get("scores", {})
            figures = [f"{language} {score:.2f}" for language, score in scores.items()]
            done = sum(other.state == "done" for other in self._jobs)
            self._say(
                f"{job.name}: {', '.join([f'done in {_duration(seconds)}', *figures])} "
                f"({done} of {len(self._jobs)} done{self._time_left()})"
            )
        self._write_results()

    def _stop(self) -> None:
        processes = [process for process in self._slots if process is not None]
        for signal_ in (signal.SIGTERM, signal.SIGKILL):
            for process in processes:
                if process.popen.poll() is None:
                    os.killpg(process.popen.pid, signal_)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while any(process.popen.poll() is None for process in processes):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        for process in processes:
            process.job.state = "waiting"

    def _write_results(self) -> None:
        suite = self._suite
        summary = {
            "title": suite.title,
            "description": suite.description,
            "metric": suite.metric,
            "languages": list(suite.test),
            "zero_shot": list(suite.zero_shot),
            "baseline": suite.baseline,
            "rows": [row.name for row in suite.rows],
            "teacher_groups": list(suite.teachers),
            "digest": digest(suite.as_dict()),
        }
        results = {
            "suite": summary,
            "environment": self._environment,
            "runs": [job.entry() for job in self._jobs if job.is_run],
        }
        write_json(self._directory / "results.json", results)

    def _report(self) -> bool:
        try:
            # It needs a plotting library, which takes its time to load.
            from structkd_allennlp.suite.report import write_report

            write_report(self._directory)
        except Exception:
            # The results are what matters, and they are written.
            logger.exception("the report could not be written")
            return False
        self._say(f"the report is {self._directory / 'report.html'}")
        return True

    def _say(self, message: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {message}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        """What is going on, for a terminal."""
        count = {state: sum(job.state == state for job in self._jobs) for state in _STATES}
        states = ", ".join(f"{n} {state}" for state, n in count.items() if n)
        table = Table(title=f"{states}{self._time_left()}", title_justify="left", box=None)
        for column in ("run", "progress", "time"):
            table.add_column(column)
        for process in self._slots:
            if process is not None:
                elapsed = time.monotonic() - process.started
                table.add_row(process.job.name, _progress(process.job), _duration(elapsed))
        return table

    def _time_left(self) -> str:
        """As far as the runs that are done tell."""
        elapsed = {
            process.job.name: time.monotonic() - process.started
            for process in self._slots
            if process is not None
        }
        left = 0.0
        for job in self._jobs:
            if job.is_run and job.state in ("waiting", "running"):
                estimate = self._estimate(job.like)
                if estimate is None:
                    return ""
                left += max(0.0, estimate - elapsed.get(job.name, 0.0))
        return f"; about {_duration(left / len(self._slots))} left" if left else ""

    def _estimate(self, like: str) -> Optional[float]:
        if like in self._durations:
            return fmean(self._durations[like])
        kind = like.partition("/")[0]
        others = [x for key, own in self._durations.items() if key.startswith(kind) for x in own]
        return fmean(others) if others else None


_STATES = ("running", "waiting", "done", "failed", "blocked")


def _worker_command(job_file: Path) -> List[str]:
    return [sys.executable, "-m", "structkd_allennlp.suite.worker", str(job_file)]


def _last_digest(job_file: Path) -> Optional[str]:
    try:
        return read_json(job_file)["entry"]["digest"]
    except (OSError, ValueError):
        return None


def _progress(job: Job) -> str:
    if not job.is_run:
        return "scoring the training data"
    directory = Path(job.description["directory"])
    if (directory / "metrics.json").exists():
        return "evaluating"
    epochs = len(list(directory.glob("metrics_epoch_*.json")))
    return f"epoch {epochs} of {job.description['config']['trainer'].get('num_epochs', '?')} done"


def _last_lines(log: Path) -> str:
    # Progress bars go back to the start of their line, which counts as a line end here.
    lines = log.read_bytes()[-20_000:].decode("utf-8", "replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-_LINES_OF_LOG:])


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _environment(jobs: int) -> Dict[str, Any]:
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **environment.versions(("torch", "allennlp", "structkd_allennlp")),
        "revision": environment.revision(),
        **environment.machine(),
        "jobs": jobs,
    }
