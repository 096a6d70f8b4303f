"""
Whatever is wrong with the input or the configuration, `allennlp train` says what, where and what to
do about it, before the first training step.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests.commands.failures import assert_nothing_was_trained, train_on

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
