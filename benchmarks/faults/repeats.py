"""The same training run more than once: what has to be the same is."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Dict

import torch

from faults import kills

CONFIG = "training_configs/posterior_kd.jsonnet"
EPOCHS = 5


def repeat_training() -> Dict[str, "Counter[str]"]:
    """
    Trains the student of the fixtures a second time, with a target store that is cold and then with
    the same one, warm, and with two threads.

    # Returns

    `Dict[str, Counter[str]]`
        By what was different, whether the weights and metrics were `the same` in every bit, `other
        weights` or `other metrics`; for other weights, with the largest difference.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = _train(Path(folder, "first"))
        store = {"model.target_store": {"directory": str(Path(folder, "store"))}}
        runs = {
            "the same seed again": _train(Path(folder, "again")),
            "a cold target store": _train(Path(folder, "cold"), store),
            "a warm target store": _train(Path(folder, "warm"), store),
            "two threads instead of one": _train(Path(folder, "threads"), threads=2),
        }
        return {name: Counter({_compare(first, run): 1}) for name, run in runs.items()}


def _train(directory: Path, overrides: Dict[str, Any] | None = None, threads: int = 1) -> Path:
    overrides = {"trainer.num_epochs": EPOCHS, **(overrides or {})}
    subprocess.run(
        f"{sys.executable} -m allennlp train {CONFIG} --include-package structkd_allennlp".split()
        + f"-s {directory} -o".split()
        + [json.dumps(overrides)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    return directory


def _compare(one: Path, other: Path) -> str:
    found = kills.compare(kills.outcome(other), kills.outcome(one))
    if found != "other weights":
        return found
    mine, theirs = _weights(one), _weights(other)
    largest = max(float((mine[name] - theirs[name]).abs().max()) for name in mine)
    return f"{found}, by up to {largest:.1g}"


def _weights(directory: Path) -> Dict[str, torch.Tensor]:
    unpacked = directory / "unpacked"
    shutil.unpack_archive(directory / "model.tar.gz", unpacked)
    weights: Dict[str, torch.Tensor] = torch.load(unpacked / "weights.th", weights_only=True)
    return weights
