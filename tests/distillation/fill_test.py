"""What filling a target store leaves, and that training then needs no teacher."""

import json
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader

from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation import fill as filling
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.fill import fill_target_store, score_missing
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import archive_digest
from tests.distillation.taggers import LABELS, archived

ROOT = Path(__file__).resolve().parents[2]
KD = "training_configs/posterior_kd.jsonnet"
TRAIN = "fixtures/conll/{language}/train.txt"
ARCHIVES = {language: f"fixtures/teachers/{language}.tar.gz" for language in ("en", "es")}


def with_store(directory, **others):
    return {"model.target_store": {"directory": str(directory)}, **others}


def fill(path, overrides):
    return fill_target_store(Params.from_file(path, overrides), path)


def training_sentences():
    reader = DatasetReader.from_params(Params.from_file(KD)["dataset_reader"])
    return [sentence_of(instance) for instance in reader.read(TRAIN)]


def assert_holds(directory, sentences):
    store = TargetStore(str(directory))
    for sentence in sentences:
        digest = archive_digest(ARCHIVES[sentence.language])
        head = store.head(digest)
        found = store.get(digest, sentence, len(head.labels))
        assert found.shape == (len(sentence.words), len(head.labels))


def metrics_of_an_epoch(directory, overrides):
    overrides = {"trainer.num_epochs": 1, **overrides}
    train_model(Params.from_file(KD, overrides), str(directory))
    return json.loads((directory / "metrics_epoch_0.json").read_text(encoding="utf-8"))


def test_training_with_a_filled_store_needs_no_teacher(tmp_path, scored, no_models):
    store = fill(KD, with_store(tmp_path / "s"))
    assert store.directory == str(tmp_path / "s")
    sentences = training_sentences()
    assert len(sentences) == 90
    assert_holds(tmp_path / "s", sentences)
    # Each sentence once, and no other.
    assert sum(map(len, scored)) == len({(tuple(words), language) for words, language in sentences})
    assert not any(path.name != "s" for path in tmp_path.iterdir())

    scored.clear()
    without = metrics_of_an_epoch(tmp_path / "without", {})
    assert sum(map(len, scored)) >= 90
    no_models()
    stored = metrics_of_an_epoch(tmp_path / "stored", with_store(tmp_path / "s"))
    for name in ("training_loss", "training_distillation_loss", "training_nll_loss"):
        assert stored[name] == pytest.approx(without[name], rel=1e-5)
    for name in ("training_lambda", "validation_f1-measure/macro", "validation_accuracy"):
        assert stored[name] == pytest.approx(without[name])


def test_a_second_call_computes_nothing(tmp_path, scored, no_models):
    fill(KD, with_store(tmp_path / "s"))
    assert scored
    data = tmp_path / "s" / "data.mdb"
    before = data.read_bytes()
    scored.clear()
    no_models()
    fill(KD, with_store(tmp_path / "s"))
    assert not scored
    assert data.read_bytes() == before


def test_it_computes_what_is_missing(tmp_path, scored):
    english = "en=" + TRAIN.format(language="en")
    fill(KD, with_store(tmp_path / "s", train_data_path=english))
    first = sum(map(len, scored))
    assert 0 < first < 90
    fill(KD, with_store(tmp_path / "s"))
    assert sum(map(len, scored)) == len({(tuple(words), x) for words, x in training_sentences()})
    assert_holds(tmp_path / "s", training_sentences())


def test_unlabelled_text_is_scored_too(tmp_path):
    text = tmp_path / "es.txt"
    text.write_text("Vive en Zaragoza .\n", encoding="utf-8")
    path = [TRAIN, {"unlabelled": {"es": str(text)}}]
    fill(KD, with_store(tmp_path / "s", train_data_path=path))
    unlabelled = Sentence(["Vive", "en", "Zaragoza", "."], "es")
    assert_holds(tmp_path / "s", [*training_sentences(), unlabelled])


def test_development_data_needs_no_targets(tmp_path, scored):
    fill(KD, with_store(tmp_path / "s", validation_data_path="not/there.txt"))
    assert scored


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        (KD, {}),
        ("training_configs/baseline.jsonnet", {}),
        ("training_configs/baseline.jsonnet", {"model.target_store": {"directory": "STORE"}}),
    ],
)
def test_configurations_without_targets(tmp_path, monkeypatch, config, overrides):
    path = (ROOT / config).resolve()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"structure_kd.*target_store") as error:
        fill(str(path), overrides)
    assert str(path) in str(error.value)
    assert not list(tmp_path.iterdir())


def test_missing_teachers(tmp_path, scored):
    teachers = {"en": ARCHIVES["en"], "es": str(tmp_path / "es.tar.gz")}
    with pytest.raises(ConfigurationError, match=f"'es' is missing: there is no {teachers['es']}"):
        fill(KD, with_store(tmp_path / "s", **{"model.teachers": teachers}))
    english = {"en": ARCHIVES["en"]}
    with pytest.raises(ConfigurationError, match="no teacher for language 'es'"):
        fill(KD, with_store(tmp_path / "s", **{"model.teachers": english}))
    assert not scored
    assert not list(tmp_path.iterdir())


def test_bad_training_data_is_found_before_a_teacher_runs(tmp_path, scored):
    bad = tmp_path / "es.txt"
    bad.write_text((ROOT / "fixtures/conll/es/train.txt").read_text() + "\none-column\n")
    path = {"en": TRAIN.format(language="en"), "es": str(bad)}
    with pytest.raises(ConfigurationError, match=f"{bad}, line "):
        fill(KD, with_store(tmp_path / "s", train_data_path=path))
    assert not scored
    assert not (tmp_path / "s").exists()


def test_each_sentence_is_scored_once_in_batches_by_length(tmp_path, monkeypatch, scored):
    archives = Archives(archived(tmp_path / "t", LABELS)[0], TargetStore(str(tmp_path / "s")))
    monkeypatch.setattr(filling, "_TOKENS_A_BATCH", 12)
    monkeypatch.setattr(filling, "_SENTENCES_A_CHUNK", 7)
    sentences = [Sentence([f"w{i % 9}"] * (1 + i % 5), "en") for i in range(45)]
    distinct = {(tuple(words), language) for words, language in sentences}
    cpu = torch.device("cpu")
    score_missing(archives, iter(sentences * 2), cpu)
    assert sum(map(len, scored)) == len(distinct)
    lengths = [[len(sentence.words) for sentence in batch] for batch in scored]
    assert all(len(batch) * max(batch) <= 12 or len(batch) == 1 for batch in lengths)
    (teacher,) = archives.teachers_of(sentences[0])
    assert teacher.source._parts is None
    scored.clear()
    score_missing(archives, sentences, cpu)
    assert not scored
