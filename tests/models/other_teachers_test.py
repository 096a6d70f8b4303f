"""Distillation from teachers that are no archives: a token classifier and a file."""

import json

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model, load_archive

from structkd_allennlp.data.sentences import metadata_of
from structkd_allennlp.distillation.fill import fill_target_store
from structkd_allennlp.distillation.huggingface_teacher import HuggingFaceSource
from tests.distillation.classifiers import classifier

CONFIG = "training_configs/posterior_kd.jsonnet"
TRAIN = "fixtures/conll/{language}/train.txt"


def tagged(path, instances, tags=None):
    """Writes a file of the gold tags, or of others."""
    lines = []
    for instance in instances:
        metadata = metadata_of(instance)
        lines.append({key: metadata[key] for key in ("words", "language", "tags")})
        if tags is not None:
            lines[-1]["tags"] = [tags] * len(metadata["words"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return {"type": "file", "file": str(path)}


@pytest.fixture(scope="module")
def instances():
    return list(DatasetReader.from_params(Params.from_file(CONFIG)["dataset_reader"]).read(TRAIN))


@pytest.fixture(scope="module")
def vocab(instances):
    return Vocabulary.from_instances(instances)


def model_with(vocab, **params):
    torch.manual_seed(0)
    config = {**Params.from_file(CONFIG)["model"].as_dict(quiet=True), **params}
    model = Model.from_params(vocab=vocab, params=Params(config))
    model.student.dropout = None
    return model.train()


def batch_of(vocab, instances):
    batch = Batch(instances)
    batch.index_instances(vocab)
    return batch.as_tensor_dict()


@pytest.mark.parametrize("value", [0.25, 1.0])
def test_sentences_without_a_teacher(tmp_path, instances, vocab, value):
    """Have the likelihood of their tags, in full, and distillation is that of the others."""
    half = {"type": "constant", "value": value}
    teacher = {**tagged(tmp_path / "t.jsonl", instances[:4]), "missing": "skip"}
    model = model_with(vocab, teachers=teacher, interpolation=half)
    taught = model(**batch_of(vocab, instances[:4]))["loss"]
    distillation = model.get_metrics(reset=True)["distillation_loss"]
    mixed = model(**batch_of(vocab, instances[:7]))["loss"]
    assert model.get_metrics(reset=True)["distillation_loss"] == pytest.approx(distillation)
    untaught = model(**batch_of(vocab, instances[4:7]))["loss"]
    untaught.backward()
    assert model.get_metrics(reset=True)["distillation_loss"] == 0
    nll = model.student(**batch_of(vocab, instances[4:7]))["loss"]
    torch.testing.assert_close(untaught, nll)
    torch.testing.assert_close(mixed, (4 * taught + 3 * nll) / 7)


def test_nothing_to_learn_from(tmp_path, instances, vocab):
    """No tags and no teacher: no gradient, but no error either."""
    teacher = {**tagged(tmp_path / "t.jsonl", instances[:1]), "missing": "skip"}
    model = model_with(vocab, teachers=teacher)
    batch = batch_of(vocab, instances[4:7])
    del batch["tags"]
    loss = model(**batch)["loss"]
    loss.backward()
    assert loss.item() == 0
    assert not any(x.grad.any() for x in model.parameters() if x.grad is not None)


def test_a_run_with_both(tmp_path, instances):
    """English from a file, Spanish from a token classifier, online and from a filled store."""
    labels = sorted({tag for instance in instances for tag in metadata_of(instance)["tags"]})
    english = [x for x in instances if metadata_of(x)["language"] == "en"]
    teachers = {
        "en": tagged(tmp_path / "en.jsonl", english),
        "es": {
            "type": "hugging_face",
            "model": classifier(tmp_path / "es", labels),
            "label_encoding": "BIO",
        },
    }
    overrides = {"model.teachers": teachers, "trainer.num_epochs": 1}

    def metrics(name, **others):
        params = Params.from_file(CONFIG, {**overrides, **others})
        train_model(params, str(tmp_path / name))
        return json.loads((tmp_path / name / "metrics.json").read_text(encoding="utf-8"))

    store = {"model.target_store": {"directory": str(tmp_path / "s")}}
    online = metrics("online")
    fill_target_store(Params.from_file(CONFIG, {**overrides, **store}), CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HuggingFaceSource, "_load", None)
        stored = metrics("stored", **store)
    for name in ("training_loss", "training_distillation_loss", "validation_f1-measure/macro"):
        assert stored[name] == pytest.approx(online[name], rel=1e-5)
    # The archive needs no teacher.
    (tmp_path / "en.jsonl").unlink()
    load_archive(tmp_path / "online" / "model.tar.gz")


def test_the_best_sequence_of_a_file_is_its_tags(tmp_path, instances, vocab):
    """So learning from the best sequence of gold tags is learning from gold tags."""
    teacher = tagged(tmp_path / "t.jsonl", instances)
    whole = {"type": "constant", "value": 1.0}
    model = model_with(
        vocab, teachers=teacher, interpolation=whole, objective={"type": "top_k", "k": 1}
    )
    batch = batch_of(vocab, instances[:20])
    torch.testing.assert_close(model(**batch)["loss"], model.student(**batch)["loss"])


def test_a_file_that_lacks_sentences(tmp_path, instances):
    """Is refused before the first step, or skips them, as it is set."""
    teacher = tagged(tmp_path / "t.jsonl", instances[:80])
    overrides = {"model.teachers": teacher, "trainer.num_epochs": 1}
    message = r"t.jsonl lacks \d+ of its 90 training sentences: '.*Add them"
    with pytest.raises(ConfigurationError, match=message):
        train_model(Params.from_file(CONFIG, overrides), str(tmp_path / "refused"))
    store = {"model.target_store": {"directory": str(tmp_path / "s")}}
    with pytest.raises(ConfigurationError, match=message):
        fill_target_store(Params.from_file(CONFIG, {**overrides, **store}), CONFIG)
    overrides["model.teachers"] = {**teacher, "missing": "skip"}
    train_model(Params.from_file(CONFIG, {**overrides, **store}), str(tmp_path / "skipped"))
    fill_target_store(Params.from_file(CONFIG, {**overrides, **store}), CONFIG)


def test_labels_that_the_student_lacks(tmp_path, instances):
    overrides = {"model.teachers": tagged(tmp_path / "t.jsonl", instances, "B-EVENT")}
    with pytest.raises(ConfigurationError, match=r"t.jsonl has labels .* lacks: \['B-EVENT'\]"):
        train_model(Params.from_file(CONFIG, overrides), str(tmp_path / "run"))
