"""What a run of a suite leaves: counts by sentence, and how training went."""

import json
import os

import pytest
import torch

from structkd_allennlp.suite.worker import _epochs, _has_checkpoint, _seconds


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("0:00:01.500000", 1.5),
        ("1:02:03", 3723),
        ("1 day, 0:00:01", 86401),
        ("2 days, 1:00:00.25", 176400.25),
    ],
)
def test_durations(duration, seconds):
    assert _seconds(duration) == seconds


def test_epochs_of_a_recovered_run(tmp_path):
    """Durations are counted anew from the recovery on."""
    # When each epoch ended, and how long after the start or the recovery at 20 that was.
    for i, (end, elapsed) in enumerate([(4, 4), (7, 7), (28, 8), (33, 13)]):
        path = tmp_path / f"metrics_epoch_{i}.json"
        metrics = {
            "training_duration": f"0:00:{elapsed:02}",
            "training_loss": i,
            "training_lambda": 0.5,
            "validation_f1-measure/macro": 0.25,
        }
        path.write_text(json.dumps(metrics))
        os.utime(path, (1000 + end, 1000 + end))
    epochs = _epochs(tmp_path, "f1-measure")
    assert [epoch["seconds"] for epoch in epochs] == [4, 3, 8, 5]
    assert epochs[3] == {
        "epoch": 3,
        "seconds": 5,
        "validation": 25.0,
        "training_loss": 3,
        "nll_loss": None,
        "distillation_loss": None,
        "lambda": 0.5,
    }


def test_checkpoints_that_were_being_written(tmp_path):
    assert not _has_checkpoint(tmp_path)
    for kind in ("model", "training"):
        torch.save({"x": torch.zeros(9)}, tmp_path / f"{kind}_state_e2_b0.th")
    assert _has_checkpoint(tmp_path)
    whole = (tmp_path / "model_state_e2_b0.th").read_bytes()
    (tmp_path / "model_state_e3_b0.th").write_bytes(whole)
    (tmp_path / "training_state_e3_b0.th").write_bytes(whole[:-100])
    (tmp_path / "model_state_e4_b0.th").write_bytes(whole)
    assert _has_checkpoint(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "model_state_e2_b0.th",
        "training_state_e2_b0.th",
    }
    (tmp_path / "training_state_e2_b0.th").unlink()
    assert not _has_checkpoint(tmp_path)
