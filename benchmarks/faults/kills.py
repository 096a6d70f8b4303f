"""Kills of a training run: whether the recovered run ends as the undisturbed one."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import torch

Outcome = Dict[str, Any]
"""Of a finished run, its metrics and a digest of its weights."""

# What depends on the machine and the hour.
_INCIDENTAL = ("training_duration", "_memory_MB")


def kill_training(
    config: str, overrides: Dict[str, Any], trials: int, seed: int = 0, limit_s: float = 600.0
) -> Counter[str]:
    """
    Trains once undisturbed, and then `trials` times with one to three kills by SIGKILL, each at a
    random moment or at a random change to the files of the run, and recovers after each.

    # Parameters

    config : `str`
        A configuration for `allennlp train`.
    overrides : `Dict[str, Any]`
    trials : `int`
    seed : `int`
    limit_s : `float`
        No trial is begun after so many seconds.

    # Returns

    `Counter[str]`
        How many trials ended with `the same` weights and metrics, in every bit, as the undisturbed
        run, with `other weights` or `other metrics`, or `failed` to recover; and the number of
        `kills`.
    """
    _start_server()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        seconds, changes = run(config, overrides, whole)
        expected = outcome(whole)

        def kill(directory: Path, generator: random.Random) -> bool:
            if generator.random() < 0.5:
                return killed(config, overrides, directory, generator.uniform(0, seconds))
            at_change = generator.randrange(changes)
            return killed(config, overrides, directory, at_change=at_change)

        def end(directory: Path) -> str:
            run(config, overrides, directory)
            return compare(outcome(directory), expected)

        return trials_of(Path(folder), kill, end, trials, seed, limit_s)


def trials_of(
    folder: Path,
    kill: Callable[[Path, random.Random], bool],
    end: Callable[[Path], str],
    trials: int,
    seed: int,
    limit_s: float,
) -> Counter[str]:
    """
    Trials of one to three kills each.

    # Parameters

    folder : `Path`
        Each trial has a directory in it.
    kill : `Callable[[Path, random.Random], bool]`
        Begins, or goes on, in a directory, and kills that. Whether it had not ended by itself.
    end : `Callable[[Path], str]`
        Goes on to the end, and says what came of it; a `RuntimeError` counts as `failed`.
    """
    generator = random.Random(seed)
    outcomes: Counter[str] = Counter()
    started = time.monotonic()
    for trial in range(trials):
        if time.monotonic() - started > limit_s:
            break
        directory = folder / f"trial{trial}"
        for _ in range(generator.randint(1, 3)):
            outcomes["kills"] += kill(directory, generator)
        try:
            outcomes[end(directory)] += 1
        except RuntimeError:
            outcomes["failed"] += 1
        shutil.rmtree(directory)
    return outcomes


def run(config: str, overrides: Dict[str, Any], directory: Path) -> Tuple[float, int]:
    """
    Trains, or goes on with what was killed, to the end.

    # Returns

    `Tuple[float, int]`
        How many seconds that took, and how many changes to files there were.

    # Raises

    `RuntimeError` with the log where training fails.
    """
    changes = _context().RawValue("i", 0)
    started = time.monotonic()
    process = _start(config, overrides, directory, changes, None)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(_log(directory).read_text()[-5000:])
    return time.monotonic() - started, changes.value


def killed(
    config: str,
    overrides: Dict[str, Any],
    directory: Path,
    after_s: Optional[float] = None,
    at_change: Optional[int] = None,
) -> bool:
    """
    Trains, or goes on, until it is killed: after so many seconds, or just before the change to the
    files of this number, from 0. Returns whether it was killed before it ended by itself.
    """
    changes = _context().RawValue("i", 0)
    process = _start(config, overrides, directory, changes, at_change)
    process.join(after_s)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def outcome(directory: Path) -> Outcome:
    """What a finished run has left."""
    found = {}
    for path in [directory / "metrics.json", *directory.glob("metrics_epoch_*.json")]:
        metrics = json.loads(path.read_text())
        found[path.name] = {
            name: value for name, value in metrics.items() if not name.endswith(_INCIDENTAL)
        }
    with tarfile.open(directory / "model.tar.gz") as archive:
        weights = archive.extractfile("weights.th")
        assert weights is not None
        digest = hashlib.sha256()
        for name, value in torch.load(weights, weights_only=True).items():
            digest.update(name.encode())
            digest.update(value.numpy().tobytes())
    return {"weights": digest.hexdigest(), "metrics": found}


def compare(found: Outcome, expected: Outcome) -> str:
    for part in ("weights", "metrics"):
        if found[part] != expected[part]:
            return f"other {part}"
    return "the same"


def _context() -> Any:
    # A server that has imported everything, and no more, makes the processes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["structkd_allennlp.registrables", __name__])
    return context


def _start_server() -> None:
    # It imports everything, which would count as a part of the first run.
    process = _context().Process(target=_nothing)
    process.start()
    process.join()


def _nothing() -> None:
    pass


def _log(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.log")


def _start(
    config: str,
    overrides: Dict[str, Any],
    directory: Path,
    changes: Any,
    kill_at: Optional[int],
) -> Any:
    process = _context().Process(
        target=_train, args=(config, overrides, directory, changes, kill_at)
    )
    process.start()
    return process


def _train(
    config: str,
    overrides: Dict[str, Any],
    directory: Path,
    changes: Any,
    kill_at: Optional[int],
) -> None:
    from allennlp.commands.train import train_model_from_file

    import structkd_allennlp.registrables  # noqa: F401

    with _log(directory).open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.addaudithook(_counter(directory, changes, kill_at))
    recover = (directory / "config.json").exists()
    train_model_from_file(config, directory, overrides, recover=recover, force=not recover)


def _counter(directory: Path, changes: Any, kill_at: Optional[int]) -> Any:
    """Counts what is about to change in a directory, and kills the process before one of these."""
    place = str(directory)

    def count(event: str, arguments: Tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in ("os.rename", "os.remove", "os.link"):
            path = arguments[0]
        else:
            return
        # Neither of the vocabulary, which AllenNLP makes again, nor of its log.
        if str(path).startswith(place) and not str(path).endswith(".log"):
            if changes.value == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            changes.value += 1

    return count
