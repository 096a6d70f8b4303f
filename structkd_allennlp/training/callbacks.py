import logging
from typing import Any, Dict, Iterator, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation.fill import score_missing
from structkd_allennlp.models.structure_kd import StructureKD

logger = logging.getLogger(__name__)


class TrainingPositionCallback(TrainerCallback):
    """
    At every step, tells a model how far training has come, by its attribute `epochs`, which is what
    schedules of lambda go by. Both the trainer's position and the number of steps in an epoch come
    back from a checkpoint, so a recovered run has the same lambda at every step as an uninterrupted
    one. Where the data loader does not know its length, lambda changes from epoch to epoch only.
    """

    def __init__(self, serialization_dir: str) -> None:
        super().__init__(serialization_dir)
        self._steps_per_epoch: Optional[int] = None

    def prepare(self, trainer: GradientDescentTrainer) -> Any:
        """Makes the trainer's model ready for its first step, and returns it."""
        raise NotImplementedError

    def state_dict(self) -> Dict[str, Any]:
        return {"steps_per_epoch": self._steps_per_epoch}

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        self._steps_per_epoch = state_dict["steps_per_epoch"]

    def on_start(
        self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs: Any
    ) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        self._model = self.prepare(trainer)
        # A recovered run counts as well, so that it uses as many random numbers: with noise in its
        # sorting, a sampler has to sample to know its length, and does not always find the same.
        steps_per_epoch = _count_steps(trainer)
        if self._steps_per_epoch is None:
            self._steps_per_epoch = steps_per_epoch
        self._set_position(
            trainer._start_after_epochs_completed,
            trainer._start_after_batches_in_epoch_completed,
        )

    def on_batch(  # type: ignore[override]
        self,
        trainer: GradientDescentTrainer,
        batch_inputs: Any,
        batch_outputs: Any,
        batch_metrics: Any,
        epoch: int,
        batch_number: int,
        is_training: bool,
        **kwargs: Any,
    ) -> None:
        if is_training:
            self._set_position(epoch, batch_number)

    def on_epoch(
        self,
        trainer: GradientDescentTrainer,
        metrics: Any,
        epoch: int,
        is_primary: bool = True,
        **kwargs: Any,
    ) -> None:
        self._set_position(epoch + 1, 0)

    def _set_position(self, epochs: int, steps: int) -> None:
        """After `steps` optimiser steps of the epoch that follows `epochs` complete ones."""
        share = min(steps / self._steps_per_epoch, 1.0) if self._steps_per_epoch else 0.0
        self._model.epochs = epochs + share


@TrainerCallback.register("structure_kd")
class StructureKDCallback(TrainingPositionCallback):
    """
    Ties a `structure_kd` model to its trainer. Before the first step it has every teacher that the
    training data needs loaded and checked, and fills the target store, if there is one. At every
    step it tells the model how far training has come.

    Registered as a `TrainerCallback` with name "structure_kd".

    # Raises

    `ConfigurationError`, before the first step, where the model is no `structure_kd`, a language of
    the training data has no teacher, or a teacher is missing, does not fit, or lacks sentences that
    it is not set to skip.
    """

    def prepare(self, trainer: GradientDescentTrainer) -> StructureKD:
        model = trainer.model
        if not isinstance(model, StructureKD):
            raise ConfigurationError(
                f"the trainer callback structure_kd is for a structure_kd model, not for a "
                f"{type(model).__name__}: take it out of the callbacks of the trainer"
            )

        def sentences() -> Iterator[Sentence]:
            return map(sentence_of, trainer.data_loader.iter_instances())

        model.teachers.load(sorted({sentence.language for sentence in sentences()}, key=str))
        model.teachers.archives.check_sentences(sentences())
        if model.teachers.archives.store is not None:
            device = model.student.crf.transitions.device
            score_missing(model.teachers.archives, sentences(), device)
        return model


def _count_steps(trainer: GradientDescentTrainer) -> int:
    """The steps of an epoch; 0 where a data loader that streams does not know its length."""
    try:
        batches = len(trainer.data_loader)
    except TypeError:
        return 0
    return -(-batches // trainer._num_gradient_accumulation_steps)
