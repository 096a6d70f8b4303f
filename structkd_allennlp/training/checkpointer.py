import logging
import os
import re
import time
from pathlib import Path
from typing import Any, Optional, Set, Tuple

import torch
import torch.distributed as dist
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import is_distributed
from allennlp.nn.util import device_mapping
from allennlp.training.checkpointer import Checkpointer
from allennlp.training.trainer import Trainer, TrainerCheckpoint

from structkd_allennlp.common.archive_files import check_weights
from structkd_allennlp.training.distributed import of_all_workers

logger = logging.getLogger(__name__)

_Point = Tuple[int, int]
"""When a checkpoint was made: after so many epochs, and so many steps of the next one."""


def save_whole(state: Any, path: str) -> None:
    """`torch.save` to a file that appears whole or not at all, also where the disk is full."""
    partial = f"{path}.{os.getpid()}"
    try:
        with open(partial, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


# AllenNLP's own writes in place, and goes on from whatever it finds.
@Checkpointer.register("default", exist_ok=True)
class WholeCheckpointer(Checkpointer):
    """
    A checkpoint is a pair of files, the model's and the trainer's state. Each is written beside its
    place and then renamed, and an older pair is removed only once the new one is whole. A recovered
    run goes on from the last pair that is whole, by the checksums in the files, and warns of each
    that it skips.

    In distributed training, the last pair is the last that is whole for every worker, also where
    every node has a disk of its own.

    Takes the place of AllenNLP's `Checkpointer`, with the same parameters, so that every run that
    loads this plugin has it, whatever its configuration says.

    Registered as a `Checkpointer` with name "default".
    """

    def maybe_save_checkpoint(
        self, trainer: Trainer, num_epochs_completed: int, num_batches_in_epoch_completed: int
    ) -> bool:
        saved = super().maybe_save_checkpoint(
            trainer, num_epochs_completed, num_batches_in_epoch_completed
        )
        if saved:
            # Also where others do the writing, as all have to agree on when the next one is due.
            self._note((num_epochs_completed, num_batches_in_epoch_completed))
        return saved

    def save_checkpoint(self, trainer: Trainer) -> None:
        # Every worker takes part in this; those that are to write the state get it.
        checkpoint = trainer.get_checkpoint_state()
        if checkpoint is not None:
            state = checkpoint.trainer_state
            point = state["epochs_completed"], state["batches_in_epoch_completed"]
            save_whole(state, self._training_state_path(*point))
            # Last, as this is the file that AllenNLP takes for the checkpoint.
            save_whole(checkpoint.model_state, self._model_state_path(*point))
        if is_distributed():
            # Until then, another worker may have to go back to what is removed here.
            dist.barrier()
        if checkpoint is not None:
            self._remove_others(point)

    def load_checkpoint(self) -> Optional[TrainerCheckpoint]:
        point = self._last_whole()
        if point is None:
            return None
        self._note(point)
        model_state, trainer_state = (
            torch.load(path, map_location=device_mapping(-1), weights_only=True)
            for path in self._pair(point)
        )
        return TrainerCheckpoint(model_state, trainer_state)

    def _note(self, point: _Point) -> None:
        self._last_save_time = time.time()
        (
            self._last_save_num_epochs_completed,
            self._last_save_num_batches_in_epoch_completed,
        ) = point

    def _pair(self, point: _Point) -> Tuple[str, str]:
        return self._model_state_path(*point), self._training_state_path(*point)

    def _last_whole(self) -> Optional[_Point]:
        """The same one for every worker."""
        points: Set[_Point] = set().union(*of_all_workers(self._find_all_checkpoints()))
        for point in sorted(points, reverse=True):
            damage = next(filter(None, of_all_workers(self._damage(point))), None)
            if damage is None:
                return point
            logger.warning(
                "the checkpoint made after %d epochs and %d steps is skipped: %s", *point, damage
            )
        if points:
            logger.warning(
                "%s has no checkpoint that is whole: training starts from the beginning",
                self._serialization_dir,
            )
        return None

    def _damage(self, point: _Point) -> Optional[str]:
        for path in self._pair(point):
            if not os.path.exists(path):
                return f"there is no {path}"
            try:
                check_weights(Path(path))
            except ConfigurationError:
                return f"{path} is damaged"
        return None

    def _remove_others(self, point: _Point) -> None:
        """What is older than has to be kept, what was skipped, and what a stopped run began."""
        kept = {path for other in self._kept(point) for path in self._pair(other)}
        own = f"_w{self._rank}" if self.state_is_sharded else ""
        pattern = re.compile(rf"(model|training)_state_e\d+_b\d+{own}\.th(\.\d+)?")
        for entry in os.scandir(self._serialization_dir):
            path = os.path.join(self._serialization_dir, entry.name)
            if pattern.fullmatch(entry.name) and path not in kept:
                Path(path).unlink(missing_ok=True)

    def _kept(self, point: _Point) -> Set[_Point]:
        points = sorted((p for p in self._find_all_checkpoints() if p <= point), reverse=True)
        count, age = self._keep_most_recent_by_count, self._keep_most_recent_by_age
        if count is None and age is None:
            return set(points)
        kept = set(points[: count or 0])
        if age is not None:
            oldest = time.time() - age
            kept |= {p for p in points if os.path.getmtime(self._pair(p)[0]) >= oldest}
        return kept
