import time
from pathlib import Path
from typing import Any, Dict, List

from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.common.files import read_json, write_json

RECORD_NAME = "epochs.json"


@TrainerCallback.register("epoch_record")
class EpochRecordCallback(TrainerCallback):
    """
    Writes what happened in each epoch to `epochs.json` in the serialization directory: a list of
    objects with `epoch`, `seconds`, and the trainer's `training_*` and `validation_*` metrics.

    The record is saved in every checkpoint, so a recovered run has each epoch once. The seconds of
    the epoch in which it was interrupted are those up to the checkpoint and those since the
    recovery; the work that was lost does not count.

    Put it last among the callbacks. Then the first epoch does not include what the others do before
    training starts.

    Registered as a `TrainerCallback` with name "epoch_record".
    """

    def __init__(self, serialization_dir: str) -> None:
        super().__init__(serialization_dir)
        self._epochs: List[Dict[str, Any]] = []
        # Spent on the current epoch before a recovery.
        self._seconds = 0.0
        self._since = time.monotonic()

    def state_dict(self) -> Dict[str, Any]:
        return {"epochs": list(self._epochs), "seconds": self._elapsed()}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        self._epochs = list(state_dict["epochs"])
        self._seconds = state_dict["seconds"]

    def on_start(
        self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs: Any
    ) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        self._since = time.monotonic()
        self._write(is_primary)

    def on_epoch(
        self,
        trainer: GradientDescentTrainer,
        metrics: Dict[str, Any],
        epoch: int,
        is_primary: bool = True,
        **kwargs: Any,
    ) -> None:
        figures = {
            name: value
            for name, value in metrics.items()
            if name.startswith(("training_", "validation_")) and isinstance(value, (int, float))
        }
        self._epochs.append({"epoch": epoch, "seconds": self._elapsed(), **figures})
        self._seconds, self._since = 0.0, time.monotonic()
        self._write(is_primary)

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._since

    def _write(self, is_primary: bool) -> None:
        if is_primary:
            write_json(Path(self.serialization_dir) / RECORD_NAME, self._epochs)


def read_record(directory: Path) -> List[Dict[str, Any]]:
    """What `epoch_record` has written so far; empty if the run did not have this callback."""
    try:
        return read_json(directory / RECORD_NAME)
    except FileNotFoundError:
        return []
