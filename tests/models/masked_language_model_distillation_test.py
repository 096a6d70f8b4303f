"""The masked language model: its loss, its teacher, and what it leaves behind."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params, cached_transformers
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import DatasetReader
from allennlp.data.data_loaders.data_collator import DataCollator
from allennlp.models import Model, load_archive
from allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
from allennlp.training import GradientDescentTrainer
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax
from transformers import AutoModelForMaskedLM, AutoTokenizer

from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer
from structkd_allennlp.modules.masked_lm import masked_lm_from_config

CONFIG = "training_configs/pretraining/fixtures_%s.jsonnet"
TOKENIZER = "fixtures/tiny_mbert"
# With a seed, masks are the same for a model and for what was saved of it.
MASKING = {"type": "masked_language_modeling", "model_name": TOKENIZER, "seed": 1}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The directory of one of the size of the configuration, with random weights."""
    folder = tmp_path_factory.mktemp("models") / "teacher"
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    config = Params.from_file(CONFIG % "teacher")["model"]["student"].as_dict(quiet=True)
    torch.manual_seed(5)
    masked_lm_from_config(config, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def overrides(**others):
    """With the tokenizer of a fixture, and a single epoch."""
    return {
        "dataset_reader.tokenizer": TOKENIZER,
        "validation_dataset_reader.tokenizer": TOKENIZER,
        "model.tokenizer": TOKENIZER,
        "data_loader.collate_fn": MASKING,
        "validation_data_loader.collate_fn": MASKING,
        "trainer.num_epochs": 1,
        **others,
    }


def params_of(kind, **others):
    return Params.from_file(CONFIG % kind, json.dumps(overrides(**others)))


def batch_of(params, count=6):
    reader = DatasetReader.from_params(params["dataset_reader"].duplicate())
    instances = list(reader.read(params["train_data_path"]))[:count]
    return DataCollator.from_params(Params(dict(MASKING)))(instances)


def model_of(params):
    torch.manual_seed(3)
    params = params["model"].duplicate()
    return Model.from_params(vocab=None, params=params)


class TestTrainsSavesAndLoads(ModelTestCase):
    def test_alone(self):
        model, _ = self.ensure_model_can_train_save_and_load(
            CONFIG % "teacher", overrides=json.dumps(overrides())
        )
        assert all(name.startswith("student.") for name in model.state_dict())

    @pytest.fixture(autouse=True)
    def _teacher(self, teacher):
        self.teacher = teacher

    def test_distilled(self):
        others = {"model.teacher": str(self.teacher)}
        model, _ = self.ensure_model_can_train_save_and_load(
            CONFIG % "student", overrides=json.dumps(overrides(**others))
        )
        prefixes = {name.split(".")[0] for name in model.state_dict()}
        assert prefixes == {"student", "hidden_states"}


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_loss_is_the_interpolation(teacher, weight):
    params = params_of(
        "student",
        **{
            "model.teacher": str(teacher),
            "model.temperature": 1.5,
            "model.hidden_states.weight": 0.7,
            "model.interpolation": {"type": "constant", "value": weight},
        },
    )
    model, batch = model_of(params), batch_of(params)
    loss = model(**batch)["loss"]

    tokens = batch["tokens"]
    inputs = {
        "input_ids": tokens["input_ids"],
        "attention_mask": tokens["attention_mask"].long(),
        "output_hidden_states": True,
    }
    large = AutoModelForMaskedLM.from_pretrained(teacher).eval()
    with torch.no_grad():
        theirs, ours = large(**inputs), model.student(**inputs)
    masked = tokens["labels"] != -100
    assert masked.any(dim=1).all()
    mlm = cross_entropy(ours.logits.flatten(0, 1), tokens["labels"].flatten(), ignore_index=-100)
    log_q = log_softmax(ours.logits[masked] / 1.5, -1)
    p = softmax(theirs.logits[masked] / 1.5, -1)
    entropy = -(p * p.log()).sum(-1).mean()
    soft = 1.5**2 * (kl_div(log_q, p, reduction="batchmean") + entropy)
    mask = tokens["attention_mask"]
    errors = [
        (model.hidden_states.projection(ours.hidden_states[i]) - theirs.hidden_states[2 * i])[mask]
        for i in (0, 1)
    ]
    hidden = torch.cat(errors).pow(2).mean()
    expected = weight * (soft + 0.7 * hidden) + (1 - weight) * mlm
    torch.testing.assert_close(loss, expected)

    metrics = model.get_metrics(reset=True)
    assert metrics["lambda"] == weight
    assert metrics["mlm_loss"] == pytest.approx(mlm.item(), rel=1e-5)
    assert metrics["soft_target_loss"] == pytest.approx(soft.item(), rel=1e-5)
    assert metrics["hidden_state_loss"] == pytest.approx(hidden.item(), rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(mlm.exp().item(), rel=1e-5)
    assert metrics["tokens_per_second"] > 0
    # Evaluation needs no teacher.
    model.eval()
    torch.testing.assert_close(model(**batch)["loss"], mlm)


def test_perplexity_by_language():
    params = params_of("teacher")
    model, batch = model_of(params).eval(), batch_of(params)
    model(**batch)
    found = model.get_metrics(reset=True)
    tokens = batch["tokens"]
    logits = model.student(
        input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"].long()
    ).logits
    languages = [metadata["language"] for metadata in batch["metadata"]]
    assert {f"perplexity/{x}" for x in languages} < found.keys()
    for language in languages:
        rows = [i for i, x in enumerate(languages) if x == language]
        labels = tokens["labels"][rows].flatten()
        loss = cross_entropy(logits[rows].flatten(0, 1), labels, ignore_index=-100)
        assert found[f"perplexity/{language}"] == pytest.approx(loss.exp().item(), rel=1e-5)


def test_a_batch_with_nothing_masked():
    params = params_of("teacher")
    model, batch = model_of(params), batch_of(params)
    batch["tokens"]["labels"][:] = -100
    loss = model(**batch)["loss"]
    loss.backward()
    assert loss == 0


def test_what_a_run_leaves_behind(tmp_path, teacher):
    """An archive that loads without the teacher, and an encoder for any transformer config."""
    mine = tmp_path / "teacher"
    shutil.copytree(teacher, mine)
    others = {
        "model.teacher": str(mine),
        "model.interpolation": {"type": "linear", "epochs": 2},
        "trainer.num_epochs": 2,
    }
    run = tmp_path / "run"
    train_model(params_of("student", **others), str(run))
    shutil.rmtree(mine)
    metrics = json.loads((run / "metrics_epoch_0.json").read_text(encoding="utf-8"))
    # Of steps at 0, 1/n and so on of the first of two epochs.
    assert 0.5 < metrics["training_lambda"] < 1.0
    model = load_archive(run / "model.tar.gz").model
    assert model.teacher is not None
    assert not list(run.glob(".transformer*"))

    directory = run / "transformer"
    assert (directory / "model.safetensors").stat().st_mode & 0o777 == (
        directory / "config.json"
    ).stat().st_mode & 0o777
    loaded, found = AutoModelForMaskedLM.from_pretrained(directory, output_loading_info=True)
    assert not found["missing_keys"]
    for name, weights in model.student.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weights)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    assert tokenizer.get_vocab() == masked_lm_tokenizer(TOKENIZER).get_vocab()
    assert tokenizer.model_max_length == model.student.config.max_position_embeddings == 48
    embedder = PretrainedTransformerMismatchedEmbedder(str(directory))
    assert embedder.get_output_dim() == 32
    cached_transformers._clear_caches()


def test_a_recovered_run_goes_on_as_if_nothing_had_happened(tmp_path, teacher, monkeypatch):
    others = {
        "model.teacher": str(teacher),
        "model.interpolation": {"type": "linear", "epochs": 2},
        "trainer.num_epochs": 2,
    }

    def metrics_of(run):
        metrics = json.loads((run / "metrics_epoch_1.json").read_text(encoding="utf-8"))
        varying = ("tokens_per_second", "memory_MB", "duration")
        return {k: v for k, v in metrics.items() if not k.endswith(varying)}

    train_model(params_of("student", **others), str(tmp_path / "whole"))
    broken = tmp_path / "broken"
    with monkeypatch.context() as patch:
        validate = GradientDescentTrainer._validation_loss

        def fail_later(trainer, epoch):
            if epoch == 1:
                raise RuntimeError("the machine is gone")
            return validate(trainer, epoch)

        patch.setattr(GradientDescentTrainer, "_validation_loss", fail_later)
        with pytest.raises(RuntimeError, match="the machine is gone"):
            train_model(params_of("student", **others), str(broken))
    assert not (broken / "transformer").exists()
    train_model(params_of("student", **others), str(broken), recover=True)
    assert metrics_of(broken) == pytest.approx(metrics_of(tmp_path / "whole"))
    assert (broken / "transformer/model.safetensors").exists()


def test_saving_replaces_what_was_there_or_leaves_it(tmp_path, monkeypatch):
    model = model_of(params_of("teacher"))
    directory = tmp_path / "encoder"
    model.save_transformer(directory)
    (directory / "old").touch()
    with monkeypatch.context() as patch:
        patch.setattr(type(model.student), "save_pretrained", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.save_transformer(directory)
    assert (directory / "old").exists()
    model.save_transformer(directory)
    assert not (directory / "old").exists()
    assert list(tmp_path.iterdir()) == [directory]


def test_a_teacher_that_does_not_fit_ends_training_before_it_starts(tmp_path):
    params = params_of("student", **{"model.teacher": TOKENIZER})
    with pytest.raises(ConfigurationError, match="not a whole masked language model"):
        train_model(params, str(tmp_path / "run"))
    assert not list(Path(tmp_path).glob("run/*.th"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.temperature": 0}, '"temperature" must be above 0'),
        ({"model.teacher": None}, '"hidden_states" without a "teacher"'),
        ({"model.hidden_states.layers": {"2": 2}}, "the student has no layer 2"),
    ],
)
def test_models_that_are_refused(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        model_of(params_of("student", **changes))


def test_batches_that_are_refused(teacher):
    params = params_of("student", **{"model.teacher": str(teacher)})
    batch = batch_of(params)
    unmasked = {**batch, "tokens": {k: v for k, v in batch["tokens"].items() if k != "labels"}}
    with pytest.raises(ConfigurationError, match="nothing is masked"):
        model_of(params)(**unmasked)
    params["model"]["student"]["max_position_embeddings"] = 16
    with pytest.raises(ConfigurationError, match="the student takes 16 at most"):
        model_of(params)(**batch)
    params = params_of(
        "student",
        **{"model.teacher": str(teacher), "model.interpolation": {"type": "linear", "epochs": 2}},
    )
    with pytest.raises(ConfigurationError, match="which nobody tells the model"):
        model_of(params)(**batch)


def test_the_callback_is_for_this_model_alone(tmp_path):
    params = Params.from_file(
        "training_configs/baseline.jsonnet",
        json.dumps({"trainer.callbacks": ["masked_language_model"], "trainer.num_epochs": 1}),
    )
    with pytest.raises(ConfigurationError, match="not for a StructuredCrfTagger"):
        train_model(params, str(tmp_path / "run"))
