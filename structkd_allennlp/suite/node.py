"""
What a node of a cluster does with one step of a suite: the same as a local executor, where the node
sees the directories of the suite, or else in copies of the files that the step needs.

Imports neither AllenNLP nor PyTorch, for which the process of Ray that it runs in has no use.
"""

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from structkd_allennlp.common.packing import unpack
from structkd_allennlp.suite import process
from structkd_allennlp.suite.files import finished_run
from structkd_allennlp.suite.packing import PackedRun
from structkd_allennlp.suite.process import Job, JobFailed

TOKEN_NAME = ".cluster"
SUITE_NAME = ".suite"
"""The directory of the suite, among the copies."""


@dataclass(frozen=True)
class Place:
    """
    Where a suite lies.

    # Parameters

    project : `str`
        The working directory of the command.
    directory : `str`
        Of the suite, absolute or from there.
    token : `str`
        What is in its file `.cluster`.
    """

    project: str
    directory: str
    token: str

    def is_here(self) -> bool:
        """Whether this machine sees the same directories."""
        try:
            found = Path(self.project, self.directory, TOKEN_NAME).read_text(encoding="utf-8")
        except OSError:
            return False
        return found == self.token and os.path.isdir(self.project)


@dataclass(frozen=True)
class Inputs:
    """
    What a step needs that runs where the directories of the suite are not.

    # Parameters

    files : `Dict[str, List[ObjectRef]]`
        The blocks of each file and directory that it reads, by its path among the copies.
    run : `ObjectRef`, optional
        A `PackedRun` that is trained already.
    """

    files: Dict[str, List[Any]] = field(default_factory=dict)
    run: Optional[Any] = None


@dataclass(frozen=True)
class Outcome:
    """
    What has become of a step.

    # Parameters

    record : `Dict[str, Any]`, optional
        The run's, or an empty one for a step that trains nothing; `None` if it has failed.
    error : `str`
        The last lines of its log, if it has failed.
    log : `bytes`, optional
        Of a step that worked on copies.
    run : `PackedRun`, optional
        What it has made of them.
    """

    record: Optional[Dict[str, Any]]
    error: str
    log: Optional[bytes] = None
    run: Optional[PackedRun] = None


def run_step(
    name: str, job: Job, place: Place, threads: int, inputs: Optional[Inputs] = None
) -> Optional[Outcome]:
    """
    Runs a step, in the process of a task of Ray's.

    # Parameters

    name : `str`
        The step's.
    job : `Job`
    place : `Place`
    threads : `int`
    inputs : `Inputs`, optional

    # Returns

    `Optional[Outcome]` : `None` on a node that does not see the directories and has no `inputs`.
    """
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if place.is_here():
        os.chdir(place.project)
        # LMDB is for the processes of one machine, so each has a store of its own.
        store = str(Path(place.directory, "targets"))
        return _run(name, moved(job, store, f"{store}/{{host}}"), Path(place.directory), variables)
    if inputs is None:
        return None
    import ray

    os.chdir(_copies(name, place, inputs.files))
    suite, job = Path(SUITE_NAME), moved(job, place.directory, SUITE_NAME)
    trained = None if inputs.run is None else ray.get(inputs.run)
    outcome = _run(name, job, suite, variables, trained)
    run = PackedRun.of(Path(job["directory"])) if outcome.record else None
    return Outcome(outcome.record, outcome.error, process.log_of(name, suite).read_bytes(), run)


def moved(value: Any, old: str, new: str) -> Any:
    """JSON in which all paths at or below `old` begin with `new`."""
    if isinstance(value, Mapping):
        return {key: moved(own, old, new) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [moved(own, old, new) for own in value]
    if isinstance(value, str) and (value == old or value.startswith(f"{old}/")):
        return new + value[len(old) :]
    return value


def remove_copies(place: Place) -> None:
    """Removes what the steps of a suite have left on this node."""
    shutil.rmtree(_root(place), ignore_errors=True)


def _run(
    name: str,
    job: Job,
    directory: Path,
    variables: Dict[str, str],
    trained: Optional[PackedRun] = None,
) -> Outcome:
    try:
        with process.new_log(name, directory) as log:
            job_file = process.prepare(name, job, directory)
            if trained is not None:
                trained.unpack(Path(job["directory"]))
            worker = process.start(job_file, log, variables)
            try:
                # What cancels a task of Ray's interrupts no call to the system.
                while worker.poll() is None:
                    time.sleep(0.1)
            finally:
                process.end([worker])
    except JobFailed as failure:
        return Outcome(None, str(failure))
    record: Optional[Dict[str, Any]] = {}
    if worker.returncode != 0:
        record = None
    elif "entry" in job:
        record = finished_run(Path(job["directory"]))
    error = process.last_lines(process.log_of(name, directory)) if record is None else ""
    return Outcome(record, error)


def _root(place: Place) -> Path:
    import ray

    # A machine may be several nodes.
    node = ray.get_runtime_context().get_node_id()
    return Path(tempfile.gettempdir(), f"structkd-suite-{place.token}-{node[:12]}")


def _copies(name: str, place: Place, files: Mapping[str, List[Any]]) -> Path:
    """
    The working directory of a step. What it reads is links to files that all steps on this node
    share, as they share the target store. What it has made stays, for another try.
    """
    import ray

    root = _root(place)
    root.mkdir(mode=0o700, exist_ok=True)
    directory = root / "steps" / name.replace("/", ",")
    targets = root / "targets"
    targets.mkdir(exist_ok=True)
    _link(directory / SUITE_NAME / "targets", targets)
    for path, blocks in files.items():
        shared = root / "files" / hashlib.sha256(path.encode()).hexdigest()
        if not shared.exists():
            with tempfile.TemporaryFile() as file:
                for block in blocks:
                    file.write(ray.get(block))
                file.seek(0)
                unpack(file, shared)
        _link(directory / path, shared)
    return directory


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.symlink_to(target)
