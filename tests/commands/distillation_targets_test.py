"""`allennlp distillation-targets` from a shell; what it does is tested where it is done."""

import json
import os
import subprocess
import sys

from tests.distillation.fill_test import KD, ROOT, assert_holds, training_sentences, with_store


def test_as_a_user_calls_it(tmp_path):
    """Inside the repository .allennlp_plugins names the package, so that the command need not."""

    def call(*arguments):
        command = [sys.executable, "-m", "allennlp", "distillation-targets", *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    overrides = with_store(tmp_path / "s", **{"dataset_reader.languages": ["es"]})
    done = call(KD, "--overrides", json.dumps(overrides), "--file-friendly-logging")
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"{tmp_path / 's'} holds all targets now" in done.stdout
    assert_holds(tmp_path / "s", [x for x in training_sentences() if x.language == "es"])
