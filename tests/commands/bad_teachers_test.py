"""Teachers, and label encodings, that cannot be used: what is said of them before training."""

import random
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import archive_model

from tests.commands.failures import train_on

TEACHERS = Path("fixtures/teachers")


def use_teacher(path, language="en"):
    def change(config):
        config["model"]["teachers"][language] = str(path)

    return change


def test_missing_teachers(failure, tmp_path):
    """It is said which language they are for, and before time goes into loading the others."""
    message = failure(use_teacher(tmp_path / "es.tar.gz", "es"))
    assert message.startswith("the teacher of language 'es' is missing: ")
    assert f"{tmp_path}/es.tar.gz" in message
    assert "Train it first" in message


def random_bytes(path):
    path.write_bytes(random.Random(0).randbytes(5000))


def truncated(path):
    whole = (TEACHERS / "en.tar.gz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def without_config(path):
    with tarfile.open(path, "w:gz") as tar:
        tar.add("fixtures/README.md", "weights.th")


def bad_weights(path):
    """A config.json and a vocabulary of a teacher, but other weights than these ask for."""
    own = path.parent / "unpacked"
    shutil.unpack_archive(TEACHERS / "en.tar.gz", own)
    weights = torch.load(own / "weights.th")
    weights.pop("crf.transitions")
    torch.save(weights, own / "weights.th")
    with tarfile.open(path, "w:gz") as tar:
        for member in own.iterdir():
            tar.add(member, member.name)


@pytest.mark.parametrize("spoil", [random_bytes, truncated, without_config, bad_weights])
def test_corrupt_teachers(failure, tmp_path, spoil):
    path = tmp_path / "teacher.tar.gz"
    spoil(path)
    message = failure(use_teacher(path))
    assert message.startswith(f"teacher {path} cannot be loaded")
    assert "must be the model.tar.gz of a finished training run" in message


def test_a_teacher_that_is_no_tagger(failure, tmp_path):
    config = {
        "type": "basic_classifier",
        "text_field_embedder": {
            "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 2}}
        },
        "seq2vec_encoder": {"type": "boe", "embedding_dim": 2},
    }
    vocab = Vocabulary()
    vocab.add_tokens_to_namespace(["good", "bad"], "labels")
    vocab.add_token_to_namespace("word", "tokens")
    model = Model.from_params(vocab=vocab, params=Params(config).duplicate())
    directory = tmp_path / "classifier"
    directory.mkdir()
    reader = {"type": "text_classification_json", "tokenizer": "whitespace"}
    Params({"dataset_reader": reader, "model": config}).to_file(str(directory / "config.json"))
    vocab.save_to_files(str(directory / "vocabulary"))
    torch.save(model.state_dict(), directory / "best.th")
    archive = archive_model(directory)

    message = failure(use_teacher(archive))
    assert f"teacher {archive}: a BasicClassifier is not a tagger" in message
    assert "use a structured_crf_tagger" in message


def test_a_language_without_a_teacher(failure):
    message = failure(lambda config: config["model"]["teachers"].pop("es"))
    assert message.startswith("no teacher for language 'es'")
    assert "there are teachers for ['en']" in message
    assert '"es": "PATH/model.tar.gz"' in message


def test_no_teachers_at_all(failure):
    assert "no teachers" in failure(lambda config: config["model"]["teachers"].clear())


def teacher_with(tmp_path, **labels):
    """A teacher of the fixtures with some of its labels renamed."""
    own = tmp_path / "renamed"
    shutil.unpack_archive(TEACHERS / "en.tar.gz", own)
    file = own / "vocabulary" / "labels.txt"
    names = file.read_text(encoding="utf-8").split()
    names = [labels.get(x.replace("-", "_"), x) for x in names]
    file.write_text("\n".join(names), encoding="utf-8")
    path = tmp_path / "renamed.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member in own.iterdir():
            tar.add(member, member.name)
    return path


def test_a_teacher_with_a_label_of_its_own(failure, tmp_path):
    path = teacher_with(tmp_path, B_MISC="B-EVENT", I_MISC="I-EVENT")
    message = failure(use_teacher(path))
    assert message.startswith(
        f"teacher {path} has labels that the student lacks: ['B-EVENT', 'I-EVENT']"
    )
    assert "B-MISC" in message.partition("the student has")[2]
    assert "train the student on data with all of the teacher's labels" in message


def encode(config, reader, tagger):
    config["dataset_reader"]["reader"]["label_encoding"] = reader
    model = config["model"]
    model.get("student", model)["label_encoding"] = tagger


def test_a_teacher_in_another_label_encoding(failure, tmp_path):
    """Nothing is taught here: of the teacher, only its labels and its config.json matter."""
    config = Params.from_file("training_configs/teacher.jsonnet").as_dict(quiet=True)
    encode(config, "BIOUL", "BIOUL")
    config["trainer"] = {"num_epochs": 1, "optimizer": "adam"}
    train_model(Params(config), str(tmp_path / "bioul"))
    teacher = tmp_path / "bioul" / "model.tar.gz"

    message = failure(use_teacher(teacher))
    assert f"teacher {teacher} has labels of another scheme than the student" in message
    assert "the teacher's label encoding is BIOUL and the student's BIO" in message
    assert "train both with the same label_encoding" in message


def test_a_student_in_another_label_encoding(failure, tmp_path):
    """
    A BIOUL student has every label of a BIO teacher, but not in its meaning: the teacher gives no
    probability to any sequence with an entity that this student may have.
    """
    types, lengths = ("PER", "LOC", "ORG", "MISC"), (1, 2, 3)
    sentences = [
        "".join(f"Ada {'I' if i else 'B'}-{x}\n" for i in range(n)) for x in types for n in lengths
    ]
    path = tmp_path / "train.txt"
    path.write_text("\n".join([*sentences, "runs O\n"]), encoding="utf-8")

    def change(config):
        train_on(path)(config)
        encode(config, "BIOUL", "BIOUL")

    message = failure(change)
    assert "fixtures/teachers/en.tar.gz" in message
    assert "the teacher's label encoding is BIO and the student's BIOUL" in message


def test_a_reader_and_a_tagger_in_different_label_encodings(failure):
    message = failure(
        lambda config: encode(config, "BIOUL", "BIO"), "training_configs/baseline.jsonnet"
    )
    assert "are BIOUL, and the tagger's label_encoding is BIO" in message
    assert "give the dataset reader and the tagger the same label_encoding" in message


def test_a_student_of_another_type(failure):
    def change(config):
        config["model"]["student"].pop("constrain_crf")
        config["model"]["student"]["type"] = "crf_tagger"

    message = failure(change)
    assert "the student is a CrfTagger: it must be of type structured_crf_tagger" in message
