"""From text to a tagger on an encoder of one's own, each stage as a user calls it."""

import json
import shlex
from pathlib import Path

import pytest
from allennlp.common import cached_transformers
from allennlp.common.checks import ConfigurationError
from transformers import AutoTokenizer

from tests.command_lines import commands_in

ENGLISH = "fixtures/conll/en/train.txt"
CONLL = json.dumps({"type": "structkd_conll"})


def call(*arguments):
    (args,) = commands_in("allennlp " + shlex.join(map(str, arguments)), "")
    args.func(args)


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    cached_transformers._clear_caches()


@pytest.mark.usefixtures("offline")
def test_from_text_to_a_tagger(tmp_path, capsys, monkeypatch):
    tokenizer, masking = tmp_path / "tokenizer", "data_loader.collate_fn.model_name"
    call(
        "train-tokenizer",
        "fixtures/conll/{language}/train.txt",
        *("--languages", "en,es", "--reader", CONLL, "--vocabulary-size", 500),
        *("-s", tokenizer),
    )
    pieces = len(AutoTokenizer.from_pretrained(str(tokenizer)))
    printed = capsys.readouterr().out
    assert "en: 45 sentences, each 1.00 times" in printed
    assert f"{tokenizer}: {pieces} pieces" in printed

    own = {
        **{f"{x}.tokenizer": str(tokenizer) for x in ("dataset_reader", "model")},
        "validation_dataset_reader.tokenizer": str(tokenizer),
        **{f"{x}{masking}": str(tokenizer) for x in ("", "validation_")},
        "trainer.num_epochs": 1,
    }
    for kind in ("teacher", "student"):
        call(
            "train",
            f"training_configs/pretraining/fixtures_{kind}.jsonnet",
            *("-s", tmp_path / kind, "-o", json.dumps(own)),
        )
        metrics = json.loads((tmp_path / kind / "metrics.json").read_text(encoding="utf-8"))
        assert metrics["validation_perplexity"] < pieces
        assert metrics.keys() >= {f"validation_perplexity/{x}" for x in ("en", "es", "macro")}
        own["model.teacher"] = str(tmp_path / "teacher/transformer")

    monkeypatch.setenv("ENCODER", str(tmp_path / "student/transformer"))
    monkeypatch.setenv("TASK", "fixtures")
    call(
        "train",
        "training_configs/transformer/posterior_kd.jsonnet",
        *("-s", tmp_path / "tagger", "-o", '{"trainer.num_epochs": 1}'),
    )
    assert (tmp_path / "tagger/model.tar.gz").exists()


def test_a_tokenizer_that_is_there_stays(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        call("train-tokenizer", ENGLISH, "--reader", CONLL, "-s", tmp_path / "tokenizer")
    assert not list((tmp_path / "tokenizer").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file"),
        ([ENGLISH, "--reader", "structkd_conll"], "--reader: 'structkd_conll' is not JSON"),
        (
            [ENGLISH, "--reader", CONLL, "--vocabulary-size", "20"],
            "a vocabulary of 20 is too small",
        ),
        ([ENGLISH, "--reader", CONLL, "--exponent", "7"], "between 0 and 1"),
        (["fixtures/conll/{language}/train.txt"], 'Set "languages"'),
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        call("train-tokenizer", *arguments, "-s", tmp_path / "tokenizer")
    assert not list(Path(tmp_path).iterdir())
