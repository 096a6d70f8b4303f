"""Where the jobs of a suite run: here, in processes on this machine."""

import os
import subprocess
import threading
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from graphlib import TopologicalSorter
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Callable, Dict, List, Optional, Sequence

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite import environment, process
from structkd_allennlp.suite.jobs import Step, TrainJob
from structkd_allennlp.suite.process import JobFailed


class Executor(ABC):
    """
    Runs the steps of one plan in an order that respects what they need, several at a time. A
    subclass says how a step is run.

    # Parameters

    slots : `int`
        How many steps may run at a time.

    # Raises

    `ConfigurationError` for fewer than 1.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ConfigurationError(f"--jobs is {slots}: give 1 or more")
        self.slots = slots

    @abstractmethod
    def submit(self, step: Step[Any], directory: Path) -> "Future[Dict[str, Any]]":
        """
        Starts a step. Its log goes to `process.log_of(step.name, directory)`, its files go where
        its job says.

        # Parameters

        step : `Step`
        directory : `Path`
            Of the suite.

        # Returns

        `Future[Dict[str, Any]]` : the run's record, or the exception `JobFailed`.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ends whatever still runs. Nothing is submitted afterwards."""

    def run(
        self,
        steps: Sequence[Step[Any]],
        directory: Path,
        on_event: Callable[[Step[Any]], None],
    ) -> None:
        """
        Runs all steps that are not done yet. A step that fails blocks those that need it, and no
        others. However this method ends, nothing runs afterwards, and steps that did not finish are
        waiting again.

        # Parameters

        steps : `Sequence[Step]`
            Those that come first are started first, as soon as they can be.
        directory : `Path`
            Of the suite.
        on_event : `Callable[[Step], None]`
            Called with every step whose state has changed, in the thread that called `run`.
        """
        pending = [step for step in steps if step.state == "waiting"]
        order = {step: i for i, step in enumerate(pending)}
        graph = {step: [x for x in (*step.needs, *step.after) if x in order] for step in pending}
        sorter = TopologicalSorter(graph)
        sorter.prepare()
        ready: List[Step[Any]] = []
        running: Dict[Future[Dict[str, Any]], Step[Any]] = {}

        def end(step: Step[Any]) -> None:
            on_event(step)
            sorter.done(step)

        try:
            while sorter.is_active():
                ready = sorted([*ready, *sorter.get_ready()], key=order.__getitem__)
                blocked = [step for step in ready if _lacking(step)]
                for step in blocked:
                    ready.remove(step)
                    step.state, step.error = "blocked", f"needs {', '.join(_lacking(step))}"
                    end(step)
                if blocked:
                    continue  # They may block others in turn.
                while ready and len(running) < self.slots:
                    step = ready.pop(0)
                    running[self.submit(step, directory)] = step
                    step.state = "running"
                    on_event(step)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    step = running.pop(future)
                    try:
                        step.result = future.result()
                        step.state = "done"
                    except JobFailed as failure:
                        step.state, step.error = "failed", str(failure)
                    end(step)
        finally:
            self.stop()
            for step in pending:
                if step.state == "running":
                    step.state = "waiting"


def _lacking(step: Step[Any]) -> List[str]:
    return [other.name for other in step.needs if other.state != "done"]


class LocalExecutor(Executor):
    """
    Runs each job in a process of its own on this machine. Where there are GPUs, each job gets one;
    otherwise the jobs share the processor's cores.

    # Parameters

    jobs : `int`, optional (default = the number of GPUs, or else 1)
        How many to run at a time.
    """

    def __init__(self, jobs: Optional[int] = None) -> None:
        gpus = environment.gpus()
        super().__init__(len(gpus) or 1 if jobs is None else jobs)
        self._environments: SimpleQueue[Dict[str, str]] = SimpleQueue()
        for slot in range(self.slots):
            variables = dict(os.environ)
            if gpus:
                variables["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
            else:
                threads = max(1, environment.cores() // self.slots)
                variables.setdefault("OMP_NUM_THREADS", str(threads))
            self._environments.put(variables)
        self._pool = ThreadPoolExecutor(self.slots)
        self._lock = threading.Lock()
        self._stopped = False
        self._processes: List[subprocess.Popen[bytes]] = []

    def submit(self, step: Step[Any], directory: Path) -> "Future[Dict[str, Any]]":
        return self._pool.submit(self._work, step, directory)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
        try:
            process.end(self._processes)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _work(self, step: Step[Any], directory: Path) -> Dict[str, Any]:
        variables = self._environments.get()
        try:
            with process.new_log(step.name, directory) as log:
                job_file = process.prepare(step.name, asdict(step.job), directory)
                with self._started(job_file, log, variables) as worker:
                    succeeded = worker.wait() == 0
        finally:
            self._environments.put(variables)
        result = (step.job.done() if isinstance(step.job, TrainJob) else {}) if succeeded else None
        if result is None:
            raise JobFailed(process.last_lines(process.log_of(step.name, directory)))
        return result

    def _started(
        self, job_file: Path, log: IO[bytes], variables: Dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopped:
                raise JobFailed("stopped before it began")
            self._processes.append(process.start(job_file, log, variables))
            return self._processes[-1]
