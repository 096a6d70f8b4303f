import logging
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, cast

import torch
import torch.distributed as dist
from allennlp.common.util import int_to_device
from allennlp.data import DataLoader, TensorDict
from allennlp.modules.seq2vec_encoders import CnnEncoder
from allennlp.nn.util import dist_reduce_sum
from allennlp.training import GradientDescentTrainer
from allennlp.training import util as training_util
from allennlp.training.callbacks import ConfidenceChecksCallback
from allennlp.training.trainer import Trainer, TrainerCheckpoint
from torch import Tensor

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.training.checkpointer import save_whole
from structkd_allennlp.training.denormals import flushed_denormals
from structkd_allennlp.training.finite import NotFiniteError, describe, parameter_not_finite
from structkd_allennlp.training.run_state import Epoch, RunState, spans_epochs

logger = logging.getLogger(__name__)

RECOVERIES_NAME = "recoveries.json"

_ADVICE = "Try a lower learning rate or grad_norm, and look for what is odd in the data."


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions that oneDNN multiplies matrices of bfloat16 with."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


# AllenNLP's own draws other random numbers once it goes on from a checkpoint.
@Trainer.register("gradient_descent", constructor="from_partial_objects", exist_ok=True)
class RecoverableTrainer(GradientDescentTrainer):
    """
    AllenNLP's trainer, but for this:

    - A run that was stopped anywhere, by whatever means, and recovered ends with the weights and
      metrics of an undisturbed one, on CPU to the last bit. What was trained is not read again.
      Every recovery is noted in `recoveries.json` in the serialization directory.
    - In distributed training of a model that does not communicate in `forward`, and says so by
      `communicates_in_forward = False`, validation covers all sentences, also where some workers
      have fewer batches than others.
    - A loss, a gradient or a parameter that is infinite or NaN ends the run with the batch and the
      sentence that it came with.
    - `use_amp` works on a CPU as well, in bfloat16, which needs no gradient scaler. A CPU without
      instructions for it, where that takes twenty times as long, computes in float32 and says so.
    - Denormal numbers are taken for 0 in training, on a CPU that can do so.

    Takes the place of AllenNLP's `GradientDescentTrainer`, with the same parameters, so that every
    run that loads this plugin has it, whatever its configuration says.

    Registered as a `Trainer` with name "gradient_descent".
    """

    _serialization_dir: str

    def __init__(self, *args: Any, use_amp: bool = False, **kwargs: Any) -> None:
        device = kwargs.get("cuda_device")
        on_gpu = (
            torch.cuda.is_available() if device is None else int_to_device(device).type != "cpu"
        )
        if use_amp and not on_gpu and not cpu_has_bfloat16():
            logger.warning(
                "use_amp: this CPU has no instructions for bfloat16, so training is in float32"
            )
            use_amp = False
        # AllenNLP's own refuses it on a CPU.
        super().__init__(*args, **{**kwargs, "use_amp": use_amp and on_gpu})
        self._amp = use_amp
        for module in self.model.modules():
            if use_amp and isinstance(module, CnnEncoder):
                # It marks words shorter than a filter by the least value of one type, and looks for
                # that of another.
                module.forward = torch.autocast(  # type: ignore[method-assign]
                    self.cuda_device.type, enabled=False
                )(module.forward)
        self._run = RunState(self._serialization_dir, self.cuda_device)
        # The last, as a checkpoint of AllenNLP's own trainer has all others.
        self._callbacks.append(self._run)
        self._batch: TensorDict = {}

    def train(self) -> Dict[str, Any]:
        with flushed_denormals():
            return super().train()

    # What a checkpoint holds, and how a run goes on from one

    def get_checkpoint_state(self) -> Optional[TrainerCheckpoint]:
        self._run.collect(
            self.model,
            steps=self._total_batches_completed,
            validates=self._should_validate_this_epoch,
            scaler=None if self._scaler is None else self._scaler.state_dict(),
        )
        return super().get_checkpoint_state()

    def _maybe_restore_checkpoint(self) -> None:
        average = self._moving_average
        parameters = [] if average is None else average._parameters
        super()._maybe_restore_checkpoint()
        if not self._is_recovered:
            return
        if average is not None:
            # The checkpoint has copies of the model's parameters, which training would not change.
            average._parameters = parameters
            for name, parameter in parameters:
                for values in (average._shadows, average._backups):
                    values[name] = values[name].to(parameter.device)
        self._note_recovery()
        state = self._run.loaded
        if state is None:
            logger.warning(
                "the checkpoint in %s is from before random states were saved, so this run will "
                "not be the one that was stopped",
                self._serialization_dir,
            )
        else:
            if not spans_epochs(self.data_loader):
                # But for those of this epoch, which are counted again as they are passed over.
                steps: int = state["steps"]
                self._total_batches_completed = steps - self._start_after_batches_in_epoch_completed
            self._should_validate_this_epoch = state["validates"]
            if self._scaler is not None:
                self._scaler.load_state_dict(state["scaler"])
        if not self._start_after_batches_in_epoch_completed:
            # The run was stopped after this checkpoint, maybe before it did what comes next.
            if self._should_validate_this_epoch and self._metric_tracker.is_best_so_far():
                self._save_best()
            if self._metric_tracker.should_stop_early():
                self._num_epochs = self._start_after_epochs_completed

    @property
    def _is_recovered(self) -> bool:
        return bool(
            self._start_after_epochs_completed or self._start_after_batches_in_epoch_completed
        )

    def _note_recovery(self) -> None:
        if self._primary:
            recoveries = read_recoveries(Path(self._serialization_dir))
            recovery = {
                "time": datetime.now().astimezone().isoformat(timespec="seconds"),
                "epochs": self._start_after_epochs_completed,
                "steps": self._start_after_batches_in_epoch_completed,
            }
            write_json(Path(self._serialization_dir, RECOVERIES_NAME), [*recoveries, recovery])

    def _save_best(self) -> None:
        """The weights just restored, under the name that `_try_train` gives them."""
        sharded = self._ddp_wrapped_model is not None and self._ddp_wrapped_model.is_sharded
        name = f"best_w{self._rank}.th" if sharded else "best.th"
        self._best_model_filename = os.path.join(self._serialization_dir, name)
        if sharded or self._primary:
            if self._moving_average is not None:
                self._moving_average.assign_average_value()
            try:
                self._save_model_state(self._best_model_filename)
            finally:
                if self._moving_average is not None:
                    self._moving_average.restore()
        if self._distributed:
            dist.barrier()

    def _save_model_state(self, path: str) -> None:
        save_whole((self._ddp_wrapped_model or self.model).state_dict(), path)

    def _try_train(self) -> Tuple[Dict[str, Any], int]:
        if self._is_recovered:
            if self._run.loaded is not None:
                # Callbacks set this for a run that starts.
                self._should_validate_this_epoch = self._run.loaded["validates"]
            for callback in self._callbacks:
                # Its hooks go after the very first batch, or never.
                if isinstance(callback, ConfidenceChecksCallback) and self._primary:
                    callback._verification.destroy_hooks()
        metrics, epoch = super()._try_train()
        if self._is_recovered and self._start_after_epochs_completed >= self._num_epochs:
            # Nothing was left to train: what the last epoch came to is in its file alone.
            last = Path(self._serialization_dir, f"metrics_epoch_{epoch}.json")
            if last.exists():
                metrics = {**read_json(last), **metrics}
        return metrics, epoch

    def _train_epoch(self, epoch: int) -> Dict[str, float]:
        run, loader = self._run, self.data_loader
        past = epoch < self._start_after_epochs_completed
        if past and run.loaded is not None and not spans_epochs(loader):
            return {}
        resumed = run.loaded is not None and epoch == self._start_after_epochs_completed
        steps = self._start_after_batches_in_epoch_completed if resumed else 0
        run.loss = run.regularization_loss = 0.0
        if resumed and not steps:
            run.restore_random_state()
        passed_over = steps * self._num_gradient_accumulation_steps
        self.data_loader = cast(DataLoader, Epoch(epoch, loader, run, self.model, passed_over))
        try:
            metrics = super()._train_epoch(epoch)
        finally:
            self.data_loader = loader
        name = parameter_not_finite(self.model)
        if name is not None:
            raise NotFiniteError(f"{name} is infinite or NaN after epoch {epoch}: {_ADVICE}")
        return self._metrics_of_whole_epoch(metrics) if steps else metrics

    def _metrics_of_whole_epoch(self, metrics: Dict[str, float]) -> Dict[str, float]:
        """From those that AllenNLP makes of what came after the checkpoint."""
        regularization_loss = None
        if self.model.get_regularization_penalty() is not None:
            regularization_loss = dist_reduce_sum(self._run.regularization_loss)
        whole = training_util.get_metrics(
            self.model,
            dist_reduce_sum(self._run.loss),
            regularization_loss,
            batch_loss=None,
            batch_reg_loss=None,
            num_batches=dist_reduce_sum(self._batches_in_epoch_completed),
            reset=True,
        )
        # Where nothing came after it there are none; otherwise the model's own are right, as the
        # checkpoint holds what it had counted.
        if "loss" in metrics:
            whole = {name: whole[name] for name in whole if name in ("loss", "reg_loss")}
        return {**metrics, **whole}

    # What is infinite or NaN

    def batch_outputs(self, batch: TensorDict, for_training: bool) -> Dict[str, Tensor]:
        self._batch = batch
        try:
            with torch.autocast(self.cuda_device.type, enabled=self._amp):
                outputs = super().batch_outputs(batch, for_training)
            if for_training and not outputs["loss"].isfinite():
                raise NotFiniteError(f"the loss is {outputs['loss'].item()}")
        except NotFiniteError as error:
            raise NotFiniteError(self._where(str(error))) from error
        return outputs

    def rescale_gradients(self) -> Optional[float]:
        norm = super().rescale_gradients()
        # A gradient scaler leaves such a step out, and tries a smaller scale.
        if norm is not None and not math.isfinite(norm) and self._scaler is None:
            raise NotFiniteError(self._where(f"the norm of the gradients is {norm}"))
        return norm

    def _where(self, what: str) -> str:
        metadata: Any = self._batch.get("metadata")
        sentences = f" (it begins with {describe(metadata, 0)})" if metadata else ""
        name = parameter_not_finite(self.model)
        before = f" {name} was infinite or NaN before this step." if name is not None else ""
        return (
            f"epoch {self._epochs_completed}, batch {self._batches_in_epoch_completed + 1}"
            f"{sentences}: {what}.{before} {_ADVICE}"
        )

    # Validation by several workers

    def _validation_loss(self, epoch: int) -> Tuple[float, Optional[float], int]:
        if not self._distributed or getattr(self.model, "communicates_in_forward", True):
            return super()._validation_loss(epoch)
        assert self._validation_data_loader is not None
        # Each at its own pace, without AllenNLP's look at all workers' metrics after every batch.
        self.model.eval()
        if self._moving_average is not None:
            self._moving_average.assign_average_value()
        try:
            return self._own_validation_loss(epoch, self._validation_data_loader)
        finally:
            if self._moving_average is not None:
                self._moving_average.restore()

    def _own_validation_loss(
        self, epoch: int, loader: DataLoader
    ) -> Tuple[float, Optional[float], int]:
        total, batches = 0.0, 0
        for batch in loader:
            with torch.autocast(self.cuda_device.type, enabled=self._amp):
                # The model itself, as the wrapper of DistributedDataParallel communicates.
                outputs = self.model(**batch)
            if "loss" in outputs:
                total += outputs["loss"].item()
                batches += 1
            metrics = {"loss": total / max(batches, 1)}
            for callback in self._callbacks:
                callback.on_batch(
                    self,
                    [batch],
                    [outputs],
                    metrics,
                    epoch,
                    batches,
                    is_training=False,
                    is_primary=self._primary,
                )
        # As AllenNLP has it: no penalty where nothing is learnt.
        penalty = None if self.model.get_regularization_penalty() is None else 0.0
        return total, penalty, batches


def read_recoveries(directory: Path) -> List[Dict[str, Any]]:
    """
    When the run in a serialization directory was recovered (`time`), and after how many `epochs`
    and `steps` of the next one; empty for one that was not.
    """
    try:
        return read_json(directory / RECOVERIES_NAME)
    except FileNotFoundError:
        return []
