"""
Whatever is wrong with the input or the configuration, `allennlp train` says what, where and what to
do about it, before the first training step.
"""

import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import archive_model

import structkd_allennlp  # noqa: F401

KD = "training_configs/posterior_kd.jsonnet"
TEACHERS = Path("fixtures/teachers")


@pytest.fixture
def failure(tmp_path):
    """
    A function that trains with what a change makes of a configuration, and returns the message of
    the `ConfigurationError` that this must end in.
    """

    def run(change, config=KD):
        params = Params.from_file(config).as_dict(quiet=True)
        change(params)
        directory = tmp_path / "run"
        with pytest.raises(ConfigurationError) as error:
            train_model(Params(params), str(directory))
        assert_nothing_was_trained(directory)
        return error.value.message

    return run


def assert_nothing_was_trained(directory):
    written = {path.name for path in directory.iterdir()}
    assert not {x for x in written if x.startswith(("metrics", "model", "training_state", "best"))}


def train_on(path, reader=None):
    """The change that makes English train on this file, read by a reader of this type."""

    def change(config):
        config["train_data_path"] = {"en": str(path)}
        config["dataset_reader"]["languages"] = ["en"]
        own = config["dataset_reader"]["reader"]
        own.update(reader or {})

    return change


CONLL = {"type": "structkd_conll"}
POS = {"type": "universal_dependencies_pos", "label_encoding": None}
ASPECT = {"type": "semeval_aspect"}
WIKIANN = {"type": "wikiann"}


@pytest.mark.parametrize(
    ("reader", "content", "line", "problem", "remedy"),
    [
        pytest.param(CONLL, b"", None, "no sentences", "Name a file", id="empty"),
        pytest.param(CONLL, b"\n \n\n", None, "no sentences", "Name a file", id="blank lines"),
        pytest.param(
            CONLL,
            b"Ada NNP B-PER\n. . O\n\nshe PRP O\nruns\n",
            5,
            "1 column ('runs'), but line 1 has 3",
            "Separate columns",
            id="a column too few",
        ),
        pytest.param(
            CONLL,
            b"Ada B-PER\nLove lace I-PER\n",
            2,
            "3 columns ('Love lace I-PER'), but line 1 has 2",
            "Separate columns",
            id="a column too many",
        ),
        pytest.param(CONLL, b"Ada\nruns\n", 1, "1 column ('Ada')", "Separate", id="one column"),
        pytest.param(
            {**CONLL, "tag_column": 3},
            b"Ada NNP B-PER\n",
            1,
            '"tag_column" is 3, but there are 3 columns',
            'Correct "tag_column"',
            id="no such column",
        ),
        pytest.param(
            {**CONLL, "input_encoding": "BIO"},
            b"she PRP O\nmet VBD O\nAda NNP I-PER\n",
            3,
            "I-PER",
            '"input_encoding"',
            id="IOB1 where BIO is configured",
        ),
        pytest.param(
            {**CONLL, "input_encoding": "BIOUL"},
            b"Ada NNP B-PER\nruns VBZ O\n",
            2,
            "'O'",
            '"input_encoding"',
            id="BIO where BIOUL is configured",
        ),
        pytest.param(CONLL, b"Ada NNP PERSON\n", 1, "PERSON", "Correct the tag", id="no scheme"),
        pytest.param(
            CONLL,
            b"she O\nlives O\nin O\nM\xfcnchen B-LOC\n",
            4,
            "0xfc",
            '"encoding": "iso-8859-1"',
            id="not UTF-8",
        ),
        pytest.param(
            ASPECT,
            b'<Reviews>\n<Review rid="1">\n<sentences>\n</Review>\n</Reviews>\n',
            4,
            "malformed XML",
            "Correct the file",
            id="malformed XML",
        ),
        pytest.param(ASPECT, b"Ada B-PER\n", 1, "malformed XML", "Correct", id="not XML at all"),
        pytest.param(
            POS,
            b"# text = Ada runs\n1\tAda\tAda\tPROPN\n",
            2,
            "4 columns",
            "10 columns separated by tabs",
            id="CoNLL-U with too few columns",
        ),
        pytest.param(
            POS,
            b"1\tAda\t_\tPROPN\t_\t_\t0\troot\t_\t_\nx\truns\t_\tVERB\t_\t_\t1\tdep\t_\t_\n",
            2,
            "'x'",
            "CoNLL-U",
            id="CoNLL-U with a bad id",
        ),
        pytest.param(
            POS,
            b"1\tAda\t_\tPROPN\t_\t_\t0\troot\t_\t_\n2\truns\t_\t_\t_\t_\t1\tdep\t_\t_\n",
            2,
            "'runs' has no upos tag",
            "Add one",
            id="CoNLL-U without a tag",
        ),
        pytest.param(
            WIKIANN, b"en:Ada\tB-PER\nruns\tO\n", 2, "'runs\\tO'", "Write language", id="WikiAnn"
        ),
        pytest.param(
            WIKIANN, b"de:Ada\tB-PER\n", 1, "'de'", "Correct the file", id="another language"
        ),
    ],
)
def test_files(failure, tmp_path, reader, content, line, problem, remedy):
    path = tmp_path / "train.file"
    path.write_bytes(content)
    message = failure(train_on(path, reader))
    place = f"{path}: " if line is None else f"{path}, line {line}: "
    assert message.startswith(place), message
    assert problem in message
    assert remedy in message


def test_a_bad_development_file_is_found_before_training_too(failure, tmp_path):
    path = tmp_path / "dev.txt"
    path.write_bytes(b"Ada B-PER\nruns\n")

    def change(config):
        config["validation_data_path"] = f"en={path}"

    assert failure(change).startswith(f"{path}, line 2: ")


def test_development_data_in_the_training_data(failure):
    path = "fixtures/conll/{language}/train.txt#fold=1of"

    def change(config):
        config["train_data_path"] = path + "3"
        config["validation_data_path"] = path + "12"

    message = failure(change)
    assert message.startswith("train_data_path and validation_data_path have sentences in common")
    assert "en/train.txt#fold=1of3 and fixtures/conll/en/train.txt#fold=1of12" in message


def test_missing_files(failure, tmp_path):
    message = failure(train_on(tmp_path / "train.txt"))
    assert message.startswith(f"{tmp_path}/train.txt: no such file for the language 'en'")
    assert "Correct the path" in message


def test_a_directory_for_a_file(failure, tmp_path):
    assert f"{tmp_path}: is a directory" in failure(train_on(tmp_path))


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


def test_a_schedule_without_its_callback(failure):
    message = failure(lambda config: config["trainer"].pop("callbacks"))
    assert 'add {"type": "structure_kd"} to the callbacks of the trainer' in message


def test_the_callback_without_a_model_to_distil(failure):
    def change(config):
        config["trainer"]["callbacks"] = ["structure_kd"]

    message = failure(change, "training_configs/baseline.jsonnet")
    assert "not for a StructuredCrfTagger: take it out of the callbacks" in message


def test_as_a_user_sees_it(tmp_path):
    """The message is the last thing that the command prints."""
    shutil.copytree("training_configs", tmp_path / "training_configs")
    shutil.copytree("fixtures/conll", tmp_path / "fixtures" / "conll")
    command = ["train", "training_configs/posterior_kd.jsonnet", "-s", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "allennlp", *command, "--include-package", "structkd_allennlp"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last == (
        "allennlp.common.checks.ConfigurationError: the teacher of language 'en' is missing: there "
        "is no fixtures/teachers/en.tar.gz. Train it first, e.g. with "
        'training_configs/teacher.jsonnet, or correct its path in "teachers"'
    )
    assert_nothing_was_trained(tmp_path / "run")
