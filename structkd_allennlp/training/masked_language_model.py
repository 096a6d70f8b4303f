import logging
from pathlib import Path
from typing import Any, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.models.masked_language_model_distillation import (
    MaskedLanguageModelDistillation,
)
from structkd_allennlp.training.callbacks import TrainingPositionCallback

logger = logging.getLogger(__name__)

DIRECTORY = "transformer"
"""Where the student is written to, in the serialization directory."""


@TrainerCallback.register("masked_language_model")
class MaskedLanguageModelCallback(TrainingPositionCallback):
    """
    Ties a `masked_language_model_distillation` to its trainer. Before the first step it has the
    teacher loaded and checked, if there is one. At every step it tells the model how far training
    has come, as `structure_kd` does. When training is done, it writes the student of the best epoch
    as a Hugging Face directory, `transformer` in the serialization directory.

    Registered as a `TrainerCallback` with name "masked_language_model".

    # Raises

    `ConfigurationError`, before the first step, where the model is of another type, or its teacher
    is missing or does not fit.
    """

    def prepare(self, trainer: GradientDescentTrainer) -> MaskedLanguageModelDistillation:
        model = trainer.model
        if not isinstance(model, MaskedLanguageModelDistillation):
            raise ConfigurationError(
                "the trainer callback masked_language_model is for a "
                f"masked_language_model_distillation, not for a {type(model).__name__}: take it "
                "out of the callbacks of the trainer"
            )
        model.check_teacher()
        return model

    def on_end(
        self,
        trainer: GradientDescentTrainer,
        metrics: Any = None,
        epoch: Optional[int] = None,
        is_primary: bool = True,
        **kwargs: Any,
    ) -> None:
        # Without metrics, training has failed.
        if is_primary and metrics is not None:
            model = trainer.model
            assert isinstance(model, MaskedLanguageModelDistillation)
            directory = Path(self.serialization_dir) / DIRECTORY
            model.save_transformer(directory)
            logger.info("%s holds the encoder", directory)
