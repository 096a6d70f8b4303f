"""What is infinite or NaN ends a run with the batch and the sentence that it came with."""

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.training.finite import NotFiniteError, check_finite, describe

METADATA = [
    {"words": ["A", "b"], "language": "en"},
    {"words": ["x" * 10**6, "y"]},
    {"words": [str(i) for i in range(100)], "language": "es"},
]


def test_the_first_sentence_is_named():
    values = torch.zeros(3, 4, 5)
    check_finite(values, "a score", METADATA)
    values[2, 1, 1] = values[1, 3, 2] = -torch.inf
    values[2, 0, 0] = torch.nan
    with pytest.raises(NotFiniteError) as error:
        check_finite(values, "a score", METADATA)
    assert str(error.value) == (
        f'a score of sentence 2 (und: "{"x" * 80} ...") is -inf; so it is with 2 of '
        "the 3 sentences of the batch"
    )
    with pytest.raises(NotFiniteError, match="a loss of sentence 3 is nan; so it is with 1 of"):
        check_finite(values[:, 0, 0], "a loss")


def test_how_a_sentence_is_described():
    assert describe(METADATA, 0) == 'sentence 1 (en: "A b")'
    assert describe(METADATA, 2) == 'sentence 3 (es: "0 1 2 3 4 5 6 7 8 9 10 11 ...")'


@TrainerCallback.register("spoils")
class Spoils(TrainerCallback):
    """From the second step of the second epoch on."""

    def __init__(self, serialization_dir, what):
        super().__init__(serialization_dir)
        self.what = what

    def on_batch(self, trainer, inputs, outputs, metrics, epoch, step, is_training, **kwargs):
        if not is_training or (epoch, step) != (1, 1):
            return
        model = trainer.model
        if self.what == "word":
            tagger = getattr(model, "student", model)
            embedding = tagger.text_field_embedder.token_embedder_tokens.weight
            embedding.data[model.vocab.get_token_index("Madrid", "tokens")] = torch.nan
        elif self.what == "parameter":
            model.crf.transitions.data[0, 0] = torch.inf
        else:
            # As an exploding gradient is, of a loss that is finite.
            model.crf.transitions.register_hook(lambda gradient: gradient * torch.inf)


KD = "training_configs/posterior_kd.jsonnet"
BASELINE = "training_configs/baseline.jsonnet"
POSITION = r"epoch 1, batch \d+ \(it begins with sentence 1 \(e[ns]: \".+\"\)\)"


@pytest.mark.parametrize(
    ("config", "what", "settings", "message"),
    [
        (BASELINE, "word", {}, rf'{POSITION}: an emission score of .*e[ns]: ".*Madrid.*"\) is nan'),
        (KD, "word", {}, rf'{POSITION}: an emission score of .*e[ns]: ".*Madrid.*"\) is nan'),
        (BASELINE, "parameter", {}, rf"{POSITION}: the negative log-likelihood of sentence 1 "),
        (BASELINE, "gradient", {}, rf"{POSITION}: the norm of the gradients is nan"),
        # Where nobody looks at the gradients, their step shows in the parameters.
        (
            BASELINE,
            "gradient",
            {"trainer.grad_norm": False},
            r"crf\.transitions was infinite or NaN before this step",
        ),
    ],
)
def test_training(tmp_path, config, what, settings, message):
    callbacks = [{"type": "spoils", "what": what}]
    if config == KD:
        callbacks.append("structure_kd")
    settings = {"trainer.num_epochs": 3, "trainer.callbacks": callbacks, **settings}
    with pytest.raises(NotFiniteError, match=message) as error:
        train_model(Params.from_file(config, settings), str(tmp_path / "run"))
    assert "Try a lower learning rate" in str(error.value)
    # What was learnt before is there.
    assert (tmp_path / "run" / "model_state_e1_b0.th").exists()


def test_a_model_that_is_not_ours(tmp_path):
    """Of its batch, nothing says which sentence it was."""
    settings = {
        "trainer.callbacks": [{"type": "spoils", "what": "parameter"}],
        "trainer.validation_metric": "-loss",
        "model.type": "crf_tagger",
    }
    params = Params.from_file(BASELINE, settings)
    params["model"].pop("constrain_crf")
    with pytest.raises(NotFiniteError, match=f"^{POSITION}: the loss is nan. crf.transitions was"):
        train_model(params, str(tmp_path / "run"))
