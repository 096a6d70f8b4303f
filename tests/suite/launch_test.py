import os
import subprocess
import sys
import time

import pytest

from structkd_allennlp.suite import process

PARENT = """
import subprocess, sys, time
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("seconds", [0, 0.5, 2])
def test_a_worker_ends_with_its_parent(tmp_path, seconds):
    """Killed while the worker starts, and while it imports."""
    job = tmp_path / "x.job.json"
    # Nobody ever writes to it, so a worker that does not end by itself waits for ever.
    os.mkfifo(job)
    command = [sys.executable, "-c", PARENT, *process._worker_command(job)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        time.sleep(seconds)
        parent.kill()
        # The worker has it open too, so it ends when both have ended.
        assert parent.communicate(timeout=30) == (b"", None)
