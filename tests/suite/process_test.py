"""That no two processes ever write to one step."""

import fcntl
import os
import subprocess
import sys
import time

import pytest

from structkd_allennlp.suite import process
from structkd_allennlp.suite.process import JobFailed, log_of, new_log, prepare

PARENT = """
import subprocess, sys, time
from pathlib import Path
from structkd_allennlp.suite import process

code = "import os, sys, time; print('at work', os.getpid(), flush=True); time.sleep(60)"
process._worker_command = lambda job_file: [sys.executable, "-S", "-c", code]
with process.new_log("runs/a", Path(sys.argv[1])) as log:
    process.start(Path("x"), log, {})
    time.sleep(60)
"""


def is_free(path):
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_worker_holds_its_log_whatever_becomes_of_its_parent(tmp_path, monkeypatch):
    """Its input does not end it here: it is one that a dead node's process has left behind."""
    log = log_of("runs/a", tmp_path)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    while not (log.exists() and log.read_text()):
        time.sleep(0.01)
    worker = int(log.read_text().split()[-1])
    try:
        parent.kill()
        parent.wait()
        assert not is_free(log)
        monkeypatch.setattr(process, "_LOCK_SECONDS", 0.2)
        refused = pytest.raises(JobFailed, match=r"still at work and writes to .*runs/a\.log")
        with refused, new_log("runs/a", tmp_path):
            pass
        # It has lost nothing of what it has said.
        assert log.read_text() == f"at work {worker}\n"
    finally:
        os.kill(worker, 9)
    monkeypatch.setattr(process, "_LOCK_SECONDS", 30)
    with new_log("runs/a", tmp_path):
        assert log.read_bytes() == b""


def test_a_run_of_another_configuration_is_removed(tmp_path):
    run = tmp_path / "runs/a"
    run.mkdir(parents=True)

    def prepared(digest):
        (run / "checkpoint").touch()
        path = prepare("runs/a", {"entry": {"digest": digest}, "directory": str(run)}, tmp_path)
        assert process.last_digest(path) == digest
        return run.exists()

    assert not prepared("one")
    run.mkdir()
    assert prepared("one")
    assert not prepared("other")
    prepare("targets", {"fill": []}, tmp_path)
