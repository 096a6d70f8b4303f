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


ROUNDING = 1e-5


def repeat_training() -> "Counter[str]":
    """
    Trains the student of the fixtures a second time, with a target store that is cold, with the
    same one, now warm, and with two threads.

    # Returns

    `Counter[str]`
        Of each comparison, whether weights and metrics were `the same` in every bit, weights up to
        `rounding` apart (a store keeps scores relative to the best label; threads add up in
        another order), or `other weights` or `other metrics`; with what was compared.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = _train(Path(folder, "first"))
        store = {"model.target_store": {"directory": str(Path(folder, "store"))}}
        cold = _train(Path(folder, "cold"), store)
        compared = {
            "again": (first, _train(Path(folder, "again"))),
            "warm store, cold store": (cold, _train(Path(folder, "warm"), store)),
            "store, no store": (first, cold),
            "two threads, one": (first, _train(Path(folder, "threads"), threads=2)),
        }
        return Counter(f"{_compare(*pair)}: {name}" for name, pair in compared.items())


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
    if found == "the same":
        return found
    mine, theirs = _weights(one), _weights(other)
    largest = max(float((mine[name] - theirs[name]).abs().max()) for name in mine)
    return f"{'rounding' if largest < ROUNDING else found} ({largest:.1g})"


def _weights(directory: Path) -> Dict[str, torch.Tensor]:
    unpacked = directory / "unpacked"
    shutil.unpack_archive(directory / "model.tar.gz", unpacked)
    weights: Dict[str, torch.Tensor] = torch.load(unpacked / "weights.th", weights_only=True)
    return weights
