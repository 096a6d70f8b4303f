"""Where work runs that asks for more than one machine: on a Ray cluster."""

import argparse
import logging
import os
import socket
import time
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

from structkd_allennlp.common.cores import cores

# Ray itself takes minutes to say that nobody answers.
_PATIENCE_SECONDS = 10


class Patience:
    """
    With a cluster that has nobody to work, such as one that grows by demand: it says so after half
    a minute, and ends after `SECONDS`. Ray itself would wait for ever.

    # Parameters

    say : `Callable[[], object]`
    """

    SECONDS = 600
    LOOK_EVERY_SECONDS = 5
    """How often those who wait should look."""

    _SAY_AFTER_SECONDS = 30

    def __init__(self, say: Callable[[], object]) -> None:
        self._say = say
        self._since = time.monotonic()
        self._said = False

    def has_ended(self, alive: bool) -> bool:
        """To be asked now and then, with whether there is somebody."""
        now = time.monotonic()
        if alive:
            self._since, self._said = now, False
        elif now - self._since > self._SAY_AFTER_SECONDS and not self._said:
            self._say()
            self._said = True
        return now - self._since > self.SECONDS


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--executor` and `--address`."""
    parser.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="processes on this machine (the default), or a Ray cluster",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="""of the head of the Ray cluster; by default RAY_ADDRESS, or else a cluster is started
                on this machine, and ends with the command""",
    )


@contextmanager
def cluster(address: Optional[str] = None) -> Iterator[None]:
    """
    Connects this process to a Ray cluster for as long as the context lasts.

    # Parameters

    address : `str`, optional (default = the variable `RAY_ADDRESS`)
        Of the head: `"HOST:PORT"`, or `"auto"` for the one that runs on this machine. Without any,
        a cluster is started with the cores of this process, and stopped at the end.

    # Raises

    `ValueError` where Ray is not installed, or where nobody answers.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    # Ray would send its statistics to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "--executor ray needs Ray: pip install --no-deps -r requirements-cluster.txt"
        ) from error
    options = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address is None:
        options |= {"num_cpus": cores(), "include_dashboard": False}
    else:
        _knock(address)
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise _unreachable(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    if address == "auto":
        return
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        raise ValueError(f"{address!r} is no address of a Ray cluster: give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), _PATIENCE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: Optional[str], error: Exception) -> ValueError:
    return ValueError(
        f"no Ray cluster answers at {address} ({error}): start one with `ray start --head --port "
        "6379`, and give the address that it prints"
    )
