"""Runs the jobs of a suite on the nodes of a Ray cluster."""

import logging
import os
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import write_text
from structkd_allennlp.common.packing import packed
from structkd_allennlp.suite import process
from structkd_allennlp.suite.executor import Executor
from structkd_allennlp.suite.inputs import inputs_of
from structkd_allennlp.suite.jobs import Step, TrainJob
from structkd_allennlp.suite.node import (
    TOKEN_NAME,
    Inputs,
    Outcome,
    Place,
    remove_copies,
    run_step,
)
from structkd_allennlp.suite.packing import PackedRun
from structkd_allennlp.suite.process import Job, JobFailed

try:
    import ray
    from ray import exceptions
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    # `--include-package` imports every module, also where there is no Ray. Who wants to use this
    # one has been told so by `cluster`.
    pass
else:
    _LOST = (
        exceptions.NodeDiedError,
        exceptions.WorkerCrashedError,
        exceptions.OutOfMemoryError,
        exceptions.ObjectLostError,
    )

logger = logging.getLogger(__name__)

# How often a step may be lost, with its node or by a lack of memory there, before it counts as
# failed.
_ATTEMPTS = 4
# What a node needs to end its workers, and then some.
_PATIENCE_SECONDS = 15


class RayExecutor(Executor):
    """
    Runs each job in a process of its own on a node of the cluster that this process is connected
    to. Where there are GPUs, each job gets one.

    A job that is lost with its node is started on another, where it goes on from its last
    checkpoint if both see the directory of the suite. A node that does not see it, or not the
    working directory, gets copies of the files that the job reads, and gives back what it has made
    at the end.

    # Parameters

    jobs : `int`, optional (default = as many as the cluster has room for)
        How many to run at a time.
    cpus : `int`, optional (default = `1`)
        How many CPUs each job asks for, and how many threads it uses.

    # Raises

    `ConfigurationError` for fewer than 1, and where no node has as many CPUs.
    """

    def __init__(self, jobs: Optional[int] = None, cpus: int = 1) -> None:
        if cpus < 1:
            raise ConfigurationError(f"--cpus is {cpus}: give 1 or more")
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = 1 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0
        room = sum(_room(node, cpus, gpus) for node in nodes)
        if not room:
            raise ConfigurationError(
                f"--cpus is {cpus}, and no node of the cluster has as many"
                f"{' and a GPU' if gpus else ''}: give fewer"
            )
        super().__init__(room if jobs is None else jobs)
        self._cpus = cpus
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_step)
        self._pool = ThreadPoolExecutor(self.slots)
        self._lock = threading.Lock()
        self._stopped = False
        # Whether to wait for nobody any more, such as for a node that has been cut off.
        self._left = False
        self._running: Set[ray.ObjectRef] = set()
        self._place: Optional[Place] = None
        # Whether there are nodes that do not see the directories.
        self._copies = False
        # The blocks of what has been put into Ray's object store, by its path.
        self._blocks: Dict[Path, List[ray.ObjectRef]] = {}
        self._packing = threading.Lock()

    def submit(self, step: Step[Any], directory: Path) -> "Future[Dict[str, Any]]":
        if self._place is None:
            self._place = Place(os.getcwd(), str(directory), uuid.uuid4().hex)
            write_text(directory / TOKEN_NAME, self._place.token)
        return self._pool.submit(self._work, step, directory, self._place)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        try:
            for task in running:
                # It ends its worker, and then itself.
                ray.cancel(task)
            if running:
                ray.wait(running, num_returns=len(running), timeout=_PATIENCE_SECONDS)
        finally:
            for task in running:
                ray.cancel(task, force=True)
            self._left = True
            self._pool.shutdown(cancel_futures=True)
            if self._place is not None:
                Path(self._place.directory, TOKEN_NAME).unlink(missing_ok=True)
                if self._copies:
                    _on_every_node(self._place)

    def _work(self, step: Step[Any], directory: Path, place: Place) -> Dict[str, Any]:
        job = asdict(step.job)
        outcome = self._outcome(step, job, directory, place)
        if outcome.log is not None:
            _bring_home(step.name, job, directory, outcome)
        if outcome.record is None:
            raise JobFailed(outcome.error)
        return outcome.record

    def _outcome(self, step: Step[Any], job: Job, directory: Path, place: Place) -> Outcome:
        attempt = 1
        while True:
            inputs = self._inputs(step, job, directory) if self._copies else None
            try:
                outcome = self._result(step.name, job, place, self._cpus, inputs)
            except _LOST as error:
                if attempt == _ATTEMPTS:
                    raise JobFailed(f"lost {attempt} times, the last time by: {error}") from error
                logger.warning("%s is lost, and started again: %s", step.name, error)
                attempt += 1
            except exceptions.RayError as error:
                raise JobFailed(str(error)) from error
            else:
                if outcome is not None:
                    return outcome
                self._copies = True

    def _result(self, *arguments: Any) -> Optional[Outcome]:
        with self._lock:
            if self._stopped:
                raise JobFailed("stopped before it began")
            task = self._task.remote(*arguments)
            self._running.add(task)
        try:
            while not ray.wait([task], timeout=1)[0]:
                if self._left:
                    raise JobFailed("did not end")
            return ray.get(task)
        finally:
            with self._lock:
                self._running.discard(task)

    def _inputs(self, step: Step[Any], job: Job, directory: Path) -> Inputs:
        with self._packing:
            paths = inputs_of(job, directory)
            for path in paths.values():
                if path not in self._blocks:
                    self._blocks[path] = _stored(path)
            run = None
            if isinstance(step.job, TrainJob) and step.job.trained() is not None:
                run = ray.put(PackedRun.of(Path(step.job.directory)))
            return Inputs({name: self._blocks[path] for name, path in paths.items()}, run)


def _room(node: Dict[str, float], cpus: int, gpus: int) -> int:
    room = int(node.get("CPU", 0) // cpus)
    return min(room, int(node.get("GPU", 0))) if gpus else room


def _stored(path: Path) -> "List[ray.ObjectRef]":
    try:
        return [ray.put(block) for block in packed(path)]
    except (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError, OSError) as error:
        raise ConfigurationError(
            f"{path} cannot be copied to the nodes of the cluster, which do not see this directory "
            f"({error}): have it on every node and give its absolute path, run the suite in a "
            "directory that all nodes see, or give Ray's object store more room"
        ) from error


def _bring_home(name: str, job: Job, directory: Path, outcome: Outcome) -> None:
    """Leaves the files that a local run would have left."""
    with process.new_log(name, directory) as log:
        process.prepare(name, job, directory)
        log.write(outcome.log or b"")
        if outcome.run is not None:
            outcome.run.unpack(Path(job["directory"]))


def _on_every_node(place: Place) -> None:
    """Has the copies removed."""
    remove = ray.remote(num_cpus=0, max_retries=0)(remove_copies)
    tasks = [
        remove.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(place)
        for node in ray.nodes()
        if node["Alive"]
    ]
    ray.wait(tasks, num_returns=len(tasks), timeout=_PATIENCE_SECONDS)
