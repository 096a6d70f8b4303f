"""What the callback checks before training, and what it tells the model during it."""

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.training import GradientDescentTrainer
from allennlp.training.learning_rate_schedulers import LearningRateScheduler

from structkd_allennlp.models.structure_kd import StructureKD


@pytest.fixture
def weights(monkeypatch):
    """Collects lambda of every training step."""
    seen = []
    original = StructureKD._weight

    def recording(self):
        seen.append(original(self))
        return seen[-1]

    monkeypatch.setattr(StructureKD, "_weight", recording)
    return seen


class Killed(Exception):
    pass


OVERRIDES = {
    "trainer.num_epochs": 3,
    "model.interpolation": {"type": "linear", "epochs": 2.5},
    "trainer.checkpointer": {"keep_most_recent_by_count": 1, "save_every_num_batches": 5},
}


def train(directory, recover=False, **overrides):
    params = Params.from_file("training_configs/posterior_kd.jsonnet", {**OVERRIDES, **overrides})
    if "batch_sampler" in params["data_loader"]:
        params["data_loader"] = {"batch_sampler": params["data_loader"]["batch_sampler"].as_dict()}
    return train_model(params, str(directory), recover=recover)


def test_lambda_falls_step_by_step(tmp_path, weights):
    train(tmp_path / "run")
    steps = len(weights) // 3
    # 90 sentences in batches of 8.
    assert steps == 12
    expected = [max(0.0, 1 - i / (2.5 * steps)) for i in range(3 * steps)]
    assert weights == pytest.approx(expected)


def test_lambda_with_gradient_accumulation(tmp_path, weights):
    train(tmp_path / "run", **{"trainer.num_gradient_accumulation_steps": 5})
    # 12 batches make 3 steps of the optimiser; lambda changes only between these.
    expected = [max(0.0, 1 - (3 * epoch + i // 5) / 7.5) for epoch in range(3) for i in range(12)]
    assert weights == pytest.approx(expected)


# The number of batches of the second sampler depends on the noise that it sorts with.
NOISY = {"batch_sampler": {"type": "max_tokens_sampler", "max_tokens": 60, "padding_noise": 0.5}}


@pytest.mark.parametrize(("killed_at", "data_loader"), [(7, {}), (33, NOISY)])
def test_a_recovered_run_has_the_same_lambda_at_every_step(
    tmp_path, weights, monkeypatch, killed_at, data_loader
):
    overrides = {"data_loader": data_loader} if data_loader else {}
    train(tmp_path / "whole", **overrides)
    whole = list(weights)
    weights.clear()

    step = GradientDescentTrainer.rescale_gradients
    calls = [0]

    def dying(self):
        calls[0] += 1
        if calls[0] > killed_at:
            raise Killed
        return step(self)

    monkeypatch.setattr(GradientDescentTrainer, "rescale_gradients", dying)
    with pytest.raises(Killed):
        train(tmp_path / "killed", **overrides)
    monkeypatch.undo()

    resumed = []
    original = StructureKD._weight

    def recording(self):
        resumed.append(original(self))
        return resumed[-1]

    monkeypatch.setattr(StructureKD, "_weight", recording)
    train(tmp_path / "killed", recover=True, **overrides)
    assert 0 < len(resumed) < len(whole)
    assert resumed == whole[-len(resumed) :]


def test_a_language_without_a_teacher_is_found_before_training(tmp_path, weights):
    path = "fixtures/conll/{language}/train.txt"
    params = Params.from_file("training_configs/posterior_kd.jsonnet").as_dict(quiet=True)
    params["train_data_path"] = {x: path.format(language=x) for x in ("en", "es")}
    del params["model"]["teachers"]["es"]
    with pytest.raises(ConfigurationError, match="no teacher for language 'es'"):
        train_model(Params(params), str(tmp_path / "run"))
    assert not weights


def test_it_is_for_distillation_only(tmp_path):
    params = Params.from_file(
        "training_configs/baseline.jsonnet", {"trainer.callbacks": ["structure_kd"]}
    )
    with pytest.raises(ConfigurationError, match="StructuredCrfTagger"):
        train_model(params, str(tmp_path / "run"))


def test_reduce_on_plateau():
    """The name that AllenNLP itself registers, on a torch where its own class fails."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scheduler = LearningRateScheduler.from_params(
        Params({"type": "reduce_on_plateau", "mode": "max", "factor": 0.5, "patience": 1}),
        optimizer=optimizer,
    )
    rates = []
    for metric in (0.5, 0.6, 0.6, 0.6, 0.7, 0.1, 0.1):
        scheduler.step(metric)
        rates.append(scheduler.get_values()[0])
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025])
    twin = LearningRateScheduler.from_params(
        Params({"type": "reduce_on_plateau", "mode": "max", "factor": 0.5, "patience": 1}),
        optimizer=torch.optim.SGD([parameter], lr=0.1),
    )
    twin.load_state_dict(scheduler.state_dict())
    assert twin.state_dict() == scheduler.state_dict()
