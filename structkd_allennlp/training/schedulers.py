"""Learning rate schedulers that AllenNLP 2.10 lacks on a current torch."""

import torch
from allennlp.training.learning_rate_schedulers import LearningRateScheduler
from allennlp.training.learning_rate_schedulers.learning_rate_scheduler import (
    _PyTorchLearningRateSchedulerWithMetricsWrapper,
)
from allennlp.training.optimizers import Optimizer


# AllenNLP's own registration of this name hands `verbose` to torch, which no longer takes it.
@LearningRateScheduler.register("reduce_on_plateau", exist_ok=True)
class ReduceOnPlateauLearningRateScheduler(_PyTorchLearningRateSchedulerWithMetricsWrapper):
    """
    Multiplies the learning rate by `factor` when the validation metric has not improved for
    `patience` epochs. Takes the place of AllenNLP's scheduler of the same name, which fails on
    torch >= 2.7, and takes the parameters of `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    The recipe of Wang et al. (2020), SGD that is halved after 10 epochs without progress, is
    `{"type": "reduce_on_plateau", "mode": "max", "factor": 0.5, "patience": 10}` where the
    validation metric is one to maximise.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer=optimizer,
                mode=mode,  # type: ignore[arg-type]
                factor=factor,
                patience=patience,
                threshold=threshold,
                threshold_mode=threshold_mode,  # type: ignore[arg-type]
                cooldown=cooldown,
                min_lr=min_lr,
                eps=eps,
            )
        )
