"""What is recorded of each epoch, also of a run that was killed in between."""

import time

import pytest
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.training import GradientDescentTrainer

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.training.epoch_record import EpochRecordCallback, read_record


def train(directory, recover=False):
    overrides = {
        "trainer.num_epochs": 3,
        "trainer.callbacks": ["structure_kd", "epoch_record"],
        # There are 12 batches in an epoch.
        "trainer.checkpointer": {"save_every_num_batches": 5},
    }
    params = Params.from_file("training_configs/posterior_kd.jsonnet", overrides)
    started = time.monotonic()
    train_model(params, str(directory), recover=recover)
    return time.monotonic() - started


class Killed(Exception):
    pass


def test_a_run_that_was_killed_and_recovered(tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert read_record(whole) == []
    took = train(whole)
    record = read_record(whole)
    assert [epoch["epoch"] for epoch in record] == [0, 1, 2]
    assert all(epoch["seconds"] > 0 for epoch in record)
    assert sum(epoch["seconds"] for epoch in record) < took
    for i, epoch in enumerate(record):
        metrics = read_json(whole / f"metrics_epoch_{i}.json")
        for name in ("training_loss", "training_lambda", "validation_f1-measure/macro"):
            assert epoch[name] == metrics[name]
        assert set(epoch) - {"epoch", "seconds"} < set(metrics)

    # In the last epoch, between two checkpoints.
    steps = iter(range(24 + 8))
    original = GradientDescentTrainer.rescale_gradients

    def dying(self):
        if next(steps, None) is None:
            raise Killed
        return original(self)

    monkeypatch.setattr(GradientDescentTrainer, "rescale_gradients", dying)
    with pytest.raises(Killed):
        train(killed)
    monkeypatch.undo()
    before = read_record(killed)
    assert [epoch["epoch"] for epoch in before] == [0, 1]
    train(killed, recover=True)
    recovered = read_record(killed)
    assert recovered[:2] == before
    assert [epoch["epoch"] for epoch in recovered] == [0, 1, 2]
    for one, other in zip(record[:2], before, strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"])


def test_the_record_is_that_of_the_checkpoint(tmp_path, monkeypatch):
    """An epoch whose checkpoint was not saved any more is not in it twice."""
    clock = iter([0, 10, 14, 15, 17])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    metrics = {"training_loss": 1.5, "training_duration": "0:00:04", "best_epoch": 0}
    killed = EpochRecordCallback(str(tmp_path))
    killed.on_start(None)
    killed.on_epoch(None, metrics, 0)
    assert read_record(tmp_path) == [{"epoch": 0, "seconds": 4, "training_loss": 1.5}]
    # A checkpoint in the first epoch, 7 seconds from its start, and a recovery at 15.
    recovered = EpochRecordCallback.__new__(EpochRecordCallback)
    recovered.serialization_dir = str(tmp_path)
    recovered.load_state_dict({"epochs": [], "seconds": 7})
    clock = iter([15, 17, 17, 18])
    recovered.on_start(None)
    assert read_record(tmp_path) == []
    recovered.on_epoch(None, metrics, 0)
    assert read_record(tmp_path) == [{"epoch": 0, "seconds": 9, "training_loss": 1.5}]
    assert recovered.state_dict() == {"epochs": read_record(tmp_path), "seconds": 1}


def test_only_the_primary_worker_writes(tmp_path):
    callback = EpochRecordCallback(str(tmp_path))
    callback.on_start(None, is_primary=False)
    callback.on_epoch(None, {}, 0, is_primary=False)
    assert list(tmp_path.iterdir()) == []
