"""Kills of the commands that do more than train one model: what is there when they end at last."""

import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict

from allennlp.common import Params

from faults import kills

CONFIGS = "training_configs"


def kill_command(
    command: Callable[[Path], None],
    outcome: Callable[[Path], Any],
    trials: int,
    seed: int = 0,
    limit_s: float = 600.0,
) -> Counter[str]:
    """
    Runs a command once undisturbed, and then `trials` times with one to three kills by SIGKILL,
    each at a random moment, and to its end after the last.

    # Parameters

    command : `Callable[[Path], None]`
        One of `fill_store`, `folds` and `suite`.
    outcome : `Callable[[Path], Any]`
        What has to be the same: the `_outcome` of the command.
    limit_s : `float`
        No trial is begun after so many seconds.

    # Returns

    `Counter[str]`
        How many trials ended with `the same`, with `other results`, or `failed`; and the number of
        `kills`.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The first process waits for all imports; later ones are forked after these.
        _run(command, Path(folder, "first"))
        whole = Path(folder, "whole")
        seconds = _run(command, whole)
        expected = outcome(whole)

        def kill(directory: Path, generator: random.Random) -> bool:
            process = _start(command, directory)
            process.join(generator.uniform(0, seconds))
            process.kill()
            process.join()
            return bool(process.exitcode == -signal.SIGKILL)

        def end(directory: Path) -> str:
            _run(command, directory)
            return "the same" if outcome(directory) == expected else "other results"

        return kills.trials_of(Path(folder), kill, end, trials, seed, limit_s)


def fill_store(directory: Path) -> None:
    from structkd_allennlp.distillation.fill import fill_target_store

    overrides = {"model.target_store": {"directory": str(directory / "store")}}
    fill_target_store(Params.from_file(f"{CONFIGS}/posterior_kd.jsonnet", overrides))


def fill_store_outcome(directory: Path) -> Dict[bytes, bytes]:
    """All entries, which are pure functions of the teachers and the sentences."""
    from structkd_allennlp.distillation.target_store import TargetStore

    return dict(TargetStore(str(directory / "store")).entries())


def folds(directory: Path) -> None:
    from structkd_allennlp.commands.train_folds import train_folds

    train_folds(f"{CONFIGS}/teacher.jsonnet", str(directory), 2, {"trainer.num_epochs": 4})


def folds_outcome(directory: Path) -> Dict[str, Any]:
    return {path.name: kills.outcome(path) for path in directory.glob("fold*")}


def suite(directory: Path) -> None:
    from rich.console import Console

    from structkd_allennlp.suite.executor import LocalExecutor
    from structkd_allennlp.suite.runner import run_suite
    from structkd_allennlp.suite.specification import Suite

    values = Params.from_file(f"{CONFIGS}/suites/fixtures.jsonnet").as_dict(quiet=True)
    values["rows"] = [{**row, "seeds": [1]} for row in values["rows"][:2]]
    configs = [row["config"] for row in values["rows"]]
    for config in [*configs, *values["teachers"]["crf"].values()]:
        config["trainer"]["num_epochs"] = 4
    if run_suite(Suite.from_dict(values), directory, LocalExecutor(2), console=Console(quiet=True)):
        raise RuntimeError("not all of the suite was done")


def suite_outcome(directory: Path) -> Dict[str, Any]:
    results = json.loads((directory / "results.json").read_text())
    return {
        run["directory"]: (run["scores"], kills.outcome(directory / run["directory"]))
        for run in results["runs"]
    }


def _run(command: Callable[[Path], None], directory: Path) -> float:
    """In a process of its own, to the end. Returns how many seconds that took."""
    started = time.monotonic()
    process = _start(command, directory)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(directory.with_suffix(".log").read_text()[-5000:])
    return time.monotonic() - started


def _start(command: Callable[[Path], None], directory: Path) -> Any:
    # A server that has imported everything, and no more, makes the processes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["structkd_allennlp.registrables", __name__])
    process = context.Process(target=_work, args=(command, directory))
    process.start()
    return process


def _work(command: Callable[[Path], None], directory: Path) -> None:
    import structkd_allennlp.registrables  # noqa: F401

    with directory.with_suffix(".log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    command(directory)
