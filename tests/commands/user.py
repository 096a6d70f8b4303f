"""What a user has, and the commands that they type."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 12
KD = "training_configs/posterior_kd.jsonnet"
PLUGIN = ("--include-package", "structkd_allennlp")


def allennlp(folder, *arguments, plugin=PLUGIN, exit_status=0, **environment):
    """Runs a command in a folder, and returns the log."""
    done = subprocess.run(
        [sys.executable, "-m", "allennlp", *map(str, arguments), *plugin],
        cwd=folder,
        # The tests share few cores, and what is computed here is small.
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == exit_status, done.stdout[-5000:]
    return done.stdout


def overrides(epochs=EPOCHS, **others):
    settings = {"trainer.num_epochs": epochs, "model.interpolation.epochs": EPOCHS, **others}
    return "--overrides", json.dumps(settings)


def read_json_lines(path):
    # Not splitlines(): a sentence may hold U+2028.
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def copy_of_what_a_user_has(folder):
    shutil.copytree(ROOT / "training_configs", folder / "training_configs")
    for part in ("conll", "teachers"):
        shutil.copytree(ROOT / "fixtures" / part, folder / "fixtures" / part)
    return folder
