"""What a run is in the middle of, so far as AllenNLP's checkpoints do not hold it."""

from itertools import islice
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch
from allennlp.data import DataLoader, TensorDict
from allennlp.models import Model
from allennlp.nn.util import move_to_device
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback
from allennlp.training.metrics import Metric

from structkd_allennlp.training.distributed import of_all_workers, own_rank
from structkd_allennlp.training.random_state import RandomState, random_state, set_random_state


class RunState(TrainerCallback):
    """
    Of each worker, its random states, now and at the start of the epoch, on which the order of the
    batches depends, and what it has counted in this epoch. A `RecoverableTrainer` has one, which
    AllenNLP saves and loads with the states of the other callbacks.
    """

    def __init__(self, serialization_dir: str, device: torch.device) -> None:
        super().__init__(serialization_dir)
        self.device = device
        self.loss = 0.0
        self.regularization_loss = 0.0
        self.loaded: Optional[Dict[str, Any]] = None
        """That of the checkpoint from which the run goes on."""
        self._epoch_starts: Dict[int, RandomState] = {}
        self._collected: Dict[str, Any] = {}

    def on_batch(  # type: ignore[override]
        self,
        trainer: GradientDescentTrainer,
        batch_inputs: Any,
        batch_outputs: List[Dict[str, Any]],
        batch_metrics: Dict[str, Any],
        epoch: int,
        batch_number: int,
        is_training: bool,
        **kwargs: Any,
    ) -> None:
        if is_training:
            # The sums that AllenNLP's trainer makes in variables of its own, to the last bit.
            self.loss += batch_metrics["batch_loss"]
            for _ in batch_outputs:
                self.regularization_loss += batch_metrics.get("batch_reg_loss", 0.0)

    def collect(self, model: Model, **others: Any) -> None:
        """Makes the state that is to be saved. Every worker has to call this."""
        own = {
            "random": random_state(self.device),
            "epoch_starts": self._epoch_starts,
            "loss": self.loss,
            "regularization_loss": self.regularization_loss,
            "metrics": {name: _plain_state(metric) for name, metric in _metrics_of(model)},
        }
        self._collected = {"workers": of_all_workers(own), **others}

    def state_dict(self) -> Dict[str, Any]:
        return self._collected

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        self.loaded = state_dict
        self._epoch_starts = self._own["epoch_starts"]

    @property
    def _own(self) -> Dict[str, Any]:
        assert self.loaded is not None
        own: Dict[str, Any] = self.loaded["workers"][own_rank()]
        return own

    def restore_random_state(self) -> None:
        set_random_state(self._own["random"], self.device)

    def restore_counts(self, model: Model) -> None:
        self.loss = self._own["loss"]
        self.regularization_loss = self._own["regularization_loss"]
        for name, metric in _metrics_of(model):
            _restore(metric, self._own["metrics"].get(name, {}), self.device)

    def begin_epoch(self, epoch: int, loader: DataLoader) -> None:
        """To be called when the first batch is due, as an epoch is shuffled then."""
        if epoch in self._epoch_starts:
            set_random_state(self._epoch_starts[epoch], self.device)
            return
        if not spans_epochs(loader):
            self._epoch_starts.clear()
        self._epoch_starts[epoch] = random_state(self.device)


class Epoch:
    """
    The batches of an epoch, in the order that the run's state says; in all else the data loader
    that they come from.

    # Parameters

    passed_over : `int`
        How many batches of it the trainer has learnt from before the checkpoint and passes over.
        The run's state is restored after these.
    """

    def __init__(
        self, number: int, loader: DataLoader, run: RunState, model: Model, passed_over: int
    ) -> None:
        self._number = number
        self._loader = loader
        self._run = run
        self._model = model
        self._passed_over = passed_over

    def __iter__(self) -> Iterator[TensorDict]:
        self._run.begin_epoch(self._number, self._loader)
        batches = iter(self._loader)
        if self._passed_over:
            yield from islice(batches, self._passed_over)
            self._run.restore_random_state()
            self._run.restore_counts(self._model)
        yield from batches

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def spans_epochs(loader: DataLoader) -> bool:
    """Whether an epoch goes on with what the one before has left of the data."""
    return getattr(loader, "batches_per_epoch", None) is not None


def _metrics_of(model: Model) -> Iterator[Tuple[str, Metric]]:
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if isinstance(value, Metric):
                yield f"{name}.{attribute}", value
            elif isinstance(value, dict):
                for key, own in value.items():
                    if isinstance(own, Metric):
                        yield f"{name}.{attribute}.{key}", own


def _plain_state(metric: Metric) -> Dict[str, Any]:
    """The counts; what else a metric has, such as functions, does not change."""
    return {name: _plain(value) for name, value in vars(metric).items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.keys())) and all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_plain, value))
    # Not their subclasses, such as NumPy's numbers, which torch.load refuses.
    return type(value) in (type(None), bool, int, float, str, torch.Tensor)


def _plain(value: Any) -> Any:
    # Of a defaultdict, torch.load would have to execute the default.
    return dict(value) if isinstance(value, dict) else value


def _restore(metric: Metric, state: Dict[str, Any], device: torch.device) -> None:
    for name, value in move_to_device(state, device).items():
        current = vars(metric).get(name)
        if isinstance(current, dict):
            current.clear()
            current.update(value)
        else:
            setattr(metric, name, value)
