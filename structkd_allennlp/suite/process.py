"""The process that does one job of a suite: its files, its log, its start and its end."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Sequence

from structkd_allennlp.common.files import read_json, write_json

# How long a stopped process gets to end by itself.
_PATIENCE_SECONDS = 5
# How long to wait for another that still writes. A node that has lost its cluster ends what runs on
# it after a minute.
_LOCK_SECONDS = 300
_LINES_OF_LOG = 15

Job = Mapping[str, Any]
"""A `TrainJob` or a `TargetsJob` as a dictionary."""


class JobFailed(Exception):
    """Says so with the last lines of the job's log."""


def log_of(name: str, directory: Path) -> Path:
    """The log of the step with this name."""
    return directory / f"{name}.log"


@contextmanager
def new_log(name: str, directory: Path) -> Iterator[IO[bytes]]:
    """
    The log of a step, empty and locked. A process whose output it is holds the lock as long as it
    lives, however the one that started it has ended. So no two ever work at one step, on whatever
    machines: whoever is to write to the files of a step has its log.

    Raises `JobFailed` if another process does not let go of it for minutes.
    """
    path = log_of(name, directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _locked(log):
            if time.monotonic() > deadline:
                raise JobFailed(
                    f"another process is still at work and writes to {path}: end it, on whatever "
                    "machine it runs, and try again"
                )
            time.sleep(0.1)
        log.truncate(0)
        yield log


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def prepare(name: str, job: Job, directory: Path) -> Path:
    """Writes the file that tells the worker what to do, and returns its path."""
    path = job_file_of(name, directory)
    if "entry" in job and last_digest(path) != job["entry"]["digest"]:
        # It holds another configuration's run, which nothing can go on from.
        shutil.rmtree(job["directory"], ignore_errors=True)
    write_json(path, job)
    return path


def job_file_of(name: str, directory: Path) -> Path:
    return directory / f"{name}.job.json"


def last_digest(job_file: Path) -> Optional[str]:
    """That of the run which the directory of a job holds, finished or not."""
    try:
        return read_json(job_file)["entry"]["digest"]
    except (OSError, ValueError, KeyError):
        return None


def start(job_file: Path, log: IO[bytes], variables: Dict[str, str]) -> "subprocess.Popen[bytes]":
    """Starts the worker of a job."""
    return subprocess.Popen(
        _worker_command(job_file),
        # However this process ends, the worker then sees its input end, and ends too.
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=variables,
        # A Ctrl-C is for this process alone.
        start_new_session=True,
    )


def end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ends all of them that still run, with their own processes."""
    try:
        _signal(processes, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _alive(processes) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        # Also on a second Ctrl-C, in the middle of the wait.
        _signal(processes, signal.SIGKILL)


def last_lines(log: Path) -> str:
    # Progress bars go back to the start of their line, which counts as a line end here.
    lines = log.read_bytes()[-20_000:].decode("utf-8", "replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-_LINES_OF_LOG:])


def _worker_command(job_file: Path) -> List[str]:
    return [sys.executable, "-m", "structkd_allennlp.suite.launch", str(job_file)]


def _alive(processes: Sequence["subprocess.Popen[bytes]"]) -> List["subprocess.Popen[bytes]"]:
    return [process for process in processes if process.poll() is None]


def _signal(processes: Sequence["subprocess.Popen[bytes]"], number: int) -> None:
    for process in _alive(processes):
        # It may have ended just now.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
