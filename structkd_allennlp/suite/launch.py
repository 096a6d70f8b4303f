"""
Starts the worker of a job such that it ends with the process that started it, however that ends:
when its standard input is closed, it kills its process group.

    python -m structkd_allennlp.suite.launch RUN.job.json
"""

import os
import signal
import sys
import threading


def _end_with_parent() -> None:
    # Not sys.stdin, whose lock a waiting thread would hold at the end.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Only now, as it takes seconds.
    from structkd_allennlp.suite.worker import main

    main(sys.argv[1])
