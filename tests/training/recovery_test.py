"""A run that is stopped and recovered ends as one that never was: every weight, every metric."""

import random
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback
from allennlp.training.checkpointer import Checkpointer
from allennlp.training.trainer import TrainerCheckpoint
from faults.kills import compare, outcome

from structkd_allennlp.training import checkpointer
from structkd_allennlp.training.checkpointer import WholeCheckpointer
from structkd_allennlp.training.trainer import read_recoveries

BASELINE = "training_configs/baseline.jsonnet"


class Stopped(Exception):
    pass


@TrainerCallback.register("draws_random_numbers")
class DrawsRandomNumbers(TrainerCallback):
    """
    The model itself draws from torch's generator alone, and the data loader from Python's: if it
    does so at the start of an epoch only, then this does too.
    """

    def on_batch(self, trainer, inputs, outputs, metrics, epoch, step, is_training, **kwargs):
        if is_training:
            noise = np.random.normal(0, 1e-3)
            loader = trainer.data_loader
            if loader.max_instances_in_memory is None and loader.batches_per_epoch is None:
                noise += random.gauss(0, 1e-3)
            next(trainer.model.parameters()).data.add_(noise)


def train(directory, recover=False, **settings):
    params = Params.from_file(BASELINE, {"trainer.num_epochs": 3, **settings})
    train_model(params, str(directory), recover=recover)
    return outcome(directory)


def stop_at_step(directory, step, **settings):
    """Trains until just before a step, counted from 0, of those that are done here."""
    steps = iter(range(10**6))
    original = GradientDescentTrainer.rescale_gradients

    def stopping(self):
        if next(steps) == step:
            raise Stopped
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GradientDescentTrainer, "rescale_gradients", stopping)
        with pytest.raises(Stopped):
            train(directory, **settings)


def stop_after_checkpoint(directory, number, **settings):
    original = WholeCheckpointer.save_checkpoint
    numbers = iter(range(1, 10**6))

    def stopping(self, trainer):
        original(self, trainer)
        if next(numbers) == number:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeCheckpointer, "save_checkpoint", stopping)
        with pytest.raises(Stopped):
            train(directory, **settings)


def log(directory):
    return (directory / "out.log").read_text()


def checkpoints(directory):
    return sorted(path.name for path in directory.glob("*_state_*"))


# An epoch is 12 batches.
EVERY_STEP = {"trainer.checkpointer": {"save_every_num_batches": 1, "keep_most_recent_by_count": 1}}
EVERY_5 = {"trainer.checkpointer": {"save_every_num_batches": 5}}
METRICS = {"model.decode_in_training": True, "model.verbose_metrics": True}
NOISY = {"type": "max_tokens_sampler", "max_tokens": 60, "padding_noise": 0.5}


@pytest.mark.parametrize(
    ("stops", "settings"),
    [
        # Before there is a checkpoint, in the first epoch, and in the last.
        ([3, 8, 25], {**EVERY_5, **METRICS}),
        # After the last step of an epoch, and right after the epoch.
        ([12, 1], {**EVERY_STEP, **METRICS}),
        (
            [7],
            {
                **EVERY_5,
                "data_loader": {"batch_sampler": NOISY},
                # Shuffles, between the epochs.
                "validation_data_loader": {"batch_sampler": NOISY},
                "trainer.num_gradient_accumulation_steps": 2,
                "trainer.moving_average": {"type": "exponential", "decay": 0.9},
                "model.regularizer": {"regexes": [["crf", {"type": "l2", "alpha": 0.01}]]},
            },
        ),
        # Epochs of which each goes on where the one before has ended.
        (
            [20],
            {
                **EVERY_5,
                "data_loader": {"batch_size": 8, "shuffle": True, "batches_per_epoch": 7},
                # Goes by the number of all steps.
                "trainer.moving_average": {"type": "exponential", "decay": 0.9},
            },
        ),
        # Read again in every epoch, and shuffled as it is read.
        (
            [19],
            {
                **EVERY_5,
                "data_loader": {"batch_size": 8, "shuffle": True, "max_instances_in_memory": 24},
            },
        ),
    ],
    ids=["steps", "last_step", "noise", "spanning", "lazy"],
)
def test_a_recovered_run_is_the_undisturbed_one(tmp_path, stops, settings):
    settings["trainer.callbacks"] = ["draws_random_numbers"]
    whole = train(tmp_path / "whole", **settings)
    for i, step in enumerate(stops):
        stop_at_step(tmp_path / "stopped", step, recover=i > 0, **settings)
    assert compare(train(tmp_path / "stopped", recover=True, **settings), whole) == "the same"
    assert not read_recoveries(tmp_path / "whole")
    assert read_recoveries(tmp_path / "stopped")


# The first epoch is the best, as next to nothing is learnt, and there are no more than two.
STANDING = {"trainer.optimizer.lr": 1e-9, "trainer.patience": 1, "trainer.num_epochs": 5}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("average", [None, {"type": "exponential"}], ids=["plain", "average"])
def test_a_run_that_was_stopped_between_its_checkpoint_and_what_follows(tmp_path, number, average):
    """Best weights and the end of training follow from what the checkpoint holds."""
    settings = {**STANDING, "trainer.moving_average": average}
    whole = train(tmp_path / "whole", **settings)
    assert whole["metrics"]["metrics.json"]["best_epoch"] == 0
    assert "metrics_epoch_2.json" not in whole["metrics"]
    stop_after_checkpoint(tmp_path / "stopped", number, **settings)
    assert compare(train(tmp_path / "stopped", recover=True, **settings), whole) == "the same"


def test_a_finished_run_can_be_recovered(tmp_path):
    """One that is stopped while it writes its archive is."""
    whole = train(tmp_path / "run")
    (tmp_path / "run" / "model.tar.gz").write_bytes(b"half of it")
    (tmp_path / "run" / "metrics.json").unlink()
    assert compare(train(tmp_path / "run", recover=True), whole) == "the same"


KEEP_2 = {"trainer.checkpointer": {"keep_most_recent_by_count": 2}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A whole run, and one with the checkpoints of two epochs. Tests take a copy of it."""
    folder = tmp_path_factory.mktemp("runs")
    whole = train(folder / "whole", **KEEP_2)
    stop_at_step(folder / "stopped", 30, **KEEP_2)
    assert len(checkpoints(folder / "stopped")) == 4
    return whole, folder / "stopped"


@pytest.fixture
def whole(runs):
    return runs[0]


@pytest.fixture
def stopped(runs, tmp_path):
    return Path(shutil.copytree(runs[1], tmp_path / "stopped"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip_a_bit, empty, Path.unlink])
@pytest.mark.parametrize("state", ["model", "training"])
def test_the_last_whole_checkpoint_is_taken(stopped, whole, damage, state):
    damaged = stopped / f"{state}_state_e2_b0.th"
    damage(damaged)
    # What a kill while the next one was written has left.
    (stopped / "training_state_e3_b0.th.4711").write_bytes(b"PK")
    assert compare(train(stopped, recover=True, **KEEP_2), whole) == "the same"
    assert [recovery["epochs"] for recovery in read_recoveries(stopped)] == [1]
    # Without a model there never was a checkpoint.
    skipped = (state, damage) != ("model", Path.unlink)
    assert ("after 2 epochs and 0 steps is skipped" in log(stopped)) == skipped
    assert (str(damaged) in log(stopped)) == skipped
    assert checkpoints(stopped) == [
        f"{state}_state_e{epochs}_b0.th" for state in ("model", "training") for epochs in (2, 3)
    ]


def test_without_a_whole_checkpoint_training_begins_again(stopped, whole):
    for name in checkpoints(stopped):
        cut(stopped / name)
    assert compare(train(stopped, recover=True, **KEEP_2), whole) == "the same"
    assert "no checkpoint that is whole" in log(stopped)
    assert not read_recoveries(stopped)


def test_a_full_disk(tmp_path, whole, monkeypatch):
    """The checkpoint before is kept, and nothing else."""
    original = checkpointer.torch.save
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def saving(state, file):
        if "e2_b0" not in file.name:
            return original(state, file)
        # A file cannot grow beyond this.
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            return original(state, file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(checkpointer.torch, "save", saving)
    settings = {"trainer.checkpointer": {"keep_most_recent_by_count": 1}}
    with pytest.raises((OSError, RuntimeError)):
        train(tmp_path / "run", **settings)
    assert checkpoints(tmp_path / "run") == ["model_state_e1_b0.th", "training_state_e1_b0.th"]
    monkeypatch.undo()
    assert compare(train(tmp_path / "run", recover=True, **settings), whole) == "the same"


def test_a_checkpoint_from_before_random_states_were_saved(stopped):
    for path in stopped.glob("training_state_*"):
        state = torch.load(path)
        assert state["callbacks"].pop()["workers"]
        torch.save(state, path)
    train(stopped, recover=True, **KEEP_2)
    assert "is from before random states were saved" in log(stopped)
    assert [recovery["epochs"] for recovery in read_recoveries(stopped)] == [2]


class Position:
    """All of a trainer that a checkpointer looks at."""

    def __init__(self, epochs, batches):
        state = {"epochs_completed": epochs, "batches_in_epoch_completed": batches}
        self.state = TrainerCheckpoint({}, state)

    def get_checkpoint_state(self):
        return self.state


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"keep_most_recent_by_count": 1},
        {"keep_most_recent_by_count": None},
        {"keep_most_recent_by_count": 1, "keep_most_recent_by_age": 3600},
        {"save_completed_epochs": False, "save_every_num_batches": 3},
        {"save_every_num_batches": 2},
    ],
)
def test_which_checkpoints_are_kept(tmp_path, settings):
    """Those that AllenNLP's checkpointer keeps."""
    kept = []
    for kind in (Checkpointer, WholeCheckpointer):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        own = kind(folder, **settings)
        for epochs in range(3):
            for batches in range(1, 6):
                own.maybe_save_checkpoint(Position(epochs, batches), epochs, batches)
            own.maybe_save_checkpoint(Position(epochs + 1, 0), epochs + 1, 0)
        kept.append(checkpoints(folder))
    assert kept[0] == kept[1] != []
