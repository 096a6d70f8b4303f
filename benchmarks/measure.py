"""What the benchmarks share: fair timing, a record of the machine, and results that are whole."""

import argparse
import importlib
import math
import os
import shlex
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import torch
from allennlp.common.checks import ConfigurationError
from rich.console import Console

from structkd_allennlp.common.files import write_json
from structkd_allennlp.suite import environment as made_with

PACKAGES = [
    "structkd_allennlp",
    "allennlp",
    "allennlp-models",
    "torch",
    "numpy",
    "lmdb",
    "onnxruntime",
    "spacy",
    "ray",
    "pytorch-crf",
    "TorchCRF",
    "torch-struct",
    "supar",
]

Row = Dict[str, Any]
"""One measurement, as JSON has it."""


def positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {value}")
    return number


def parser(documentation: Optional[str], name: str, rounds: int) -> argparse.ArgumentParser:
    """With the options that all benchmarks have."""
    result = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--output",
        type=Path,
        default=Path(f"out/benchmarks/{name}.json"),
        help="where the results go, as JSON (default: %(default)s)",
    )
    result.add_argument("--rounds", type=positive, default=rounds, help="default: %(default)s")
    result.add_argument("--threads", type=positive, default=1, help="default: %(default)s")
    return result


def parse(arguments: argparse.ArgumentParser) -> argparse.Namespace:
    """
    Parses the command line and sets the number of threads, here and for child processes.

    # Raises

    `ConfigurationError` for an output that cannot be a file, before time is spent.
    """
    args = arguments.parse_args()
    check_output(args.output)
    set_threads(args.threads)
    return args


def set_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigurationError(f"--output {output} is a directory: name a file in it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--output {output} cannot be written ({error}): choose another place"
        ) from error


def timed(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    device: Optional[torch.device] = None,
    limit: float = math.inf,
) -> Dict[str, List[float]]:
    """
    The seconds that each contender takes in each round. All of them run once a round, forwards and
    backwards in turn, so that whatever else the machine does is shared by all. A first round is not
    counted. A contender that has taken more than `limit` seconds runs three rounds at least.
    """
    samples: Dict[str, List[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        names = list(contenders) if round_ % 2 else list(contenders)[::-1]
        for name in names:
            if sum(samples[name]) > limit and len(samples[name]) >= 3:
                continue
            _synchronize(device)
            started = time.perf_counter()
            result = contenders[name]()
            _synchronize(device)
            seconds = time.perf_counter() - started
            # Freeing a graph of gradients takes time too, but it is not the next one's.
            del result
            if round_ > 0:
                samples[name].append(seconds)
    return samples


def _synchronize(device: Optional[torch.device]) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def summary(samples: Sequence[float]) -> Row:
    return {
        "median": statistics.median(samples),
        "min": min(samples),
        "rounds": len(samples),
    }


def optional(module: str) -> Optional[ModuleType]:
    """A module that only benchmarks use, or `None` where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def environment(threads: int, device: Optional[torch.device] = None) -> Dict[str, Any]:
    machine, versions = made_with.machine(), made_with.versions(PACKAGES)
    gpu = device is not None and device.type == "cuda"
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "revision": made_with.revision(),
        "python": versions.pop("python"),
        **{name: machine[name] for name in ("platform", "processor", "cores")},
        "gpu": torch.cuda.get_device_name(device) if gpu else None,
        "threads": threads,
        # A busy machine is no place to measure on: a reader should be able to see it.
        "load": os.getloadavg()[0],
        "versions": versions,
    }


def write(output: Path, benchmark: str, environment: Dict[str, Any], **results: Any) -> None:
    """Writes the results of a benchmark, all of them or, if that fails, none."""
    content = {"benchmark": benchmark, "environment": environment, **results}
    write_json(output, content)
    print(f"wrote {output}", file=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def allennlp(*arguments: str, **variables: str) -> float:
    """
    The seconds that the command takes, with these variables of the environment. Its log is shown
    where it fails.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "allennlp", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode:
        raise ConfigurationError(f"allennlp {arguments[0]} failed:\n{done.stdout[-3000:]}")
    return time.perf_counter() - started


def note(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, soft_wrap=True, markup=False)
