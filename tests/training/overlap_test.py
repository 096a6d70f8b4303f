"""Whether training notices that it validates on what it trains on."""

import logging
from types import SimpleNamespace

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.data.data_loaders import MultiProcessDataLoader

from structkd_allennlp.common.files import write_json
from structkd_allennlp.data import ConllReader, MultilingualReader
from structkd_allennlp.training.overlap import OverlapCheckCallback


def start(directory, train, validation, test=None, reader=None, **config):
    write_json(directory / "config.json", {**config, "test_data_path": test} if test else config)
    reader = reader or MultilingualReader(ConllReader(), languages=["en", "es"])
    loaders = [
        path and MultiProcessDataLoader(reader, path, batch_size=2) for path in (train, validation)
    ]
    trainer = SimpleNamespace(data_loader=loaders[0], _validation_data_loader=loaders[1])
    OverlapCheckCallback(str(directory)).on_start(trainer)


@pytest.fixture
def files(tmp_path):
    texts = {"en": "a O\n\nb O\n", "es": "c O\n", "dev": "c O\n\nd O\n\nb O\n\nb O\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def test_sentences_that_are_in_the_training_data(tmp_path, files, caplog):
    train = {"en": files["en"], "es": files["es"]}
    validation = [f"en={files['dev']}", f"es={files['es']}"]
    with caplog.at_level(logging.WARNING):
        start(tmp_path, train, validation, [f"pt={files['en']}", {"en": files["dev"]}, train])
    assert [record.getMessage().split(" are in ")[0] for record in caplog.records] == [
        "validation_data_path: 3 of the 4 sentences in the language en",
        "validation_data_path: 1 of the 1 sentences in the language es",
        "test_data_path: 2 of the 2 sentences in the language pt",
        "test_data_path: 5 of the 6 sentences in the language en",
        "test_data_path: 1 of the 1 sentences in the language es",
    ]


def test_nothing_to_warn_of(tmp_path, files, caplog):
    train = {"en": files["en"], "es": files["es"]}
    other = tmp_path / "other"
    other.write_text("x O\n\ny O\n")
    with caplog.at_level(logging.WARNING):
        start(tmp_path, train, f"en={other}")
        start(tmp_path, train, None)
        # Text without labels is no leak.
        start(tmp_path, [train, {"unlabelled": {"es": str(other)}}], f"es={other}")
        start(tmp_path, files["en"], str(other), reader=ConllReader(language="en"))
    assert not caplog.records


def test_folds_that_overlap(tmp_path):
    (tmp_path / "all").write_text("".join(f"{i} O\n\n" for i in range(100)))
    path = f"en={tmp_path / 'all'}"
    for paths in (
        (f"{path}#fold=1of3", f"{path}#fold=1of12"),
        (path, f"{path}#not-fold=1of2"),
        (f"{path}#fold=1of3", f"{path}#fold=2of3", [f"{path}#fold=1of3"]),
    ):
        with pytest.raises(ConfigurationError, match="have sentences in common"):
            start(tmp_path, *paths)


def test_test_data_for_the_vocabulary_alone(tmp_path, caplog):
    (tmp_path / "all").write_text("".join(f"{i} O\n\n" for i in range(100)))
    train, dev = (f"en={tmp_path / 'all'}#{part}=1of2" for part in ("fold", "not-fold"))
    for_words = {"datasets_for_vocab_creation": ["test"]}
    with caplog.at_level(logging.WARNING):
        start(tmp_path, train, dev, train, **for_words)
    assert not caplog.records
    for config in ({}, {"evaluate_on_test": True, **for_words}):
        with pytest.raises(ConfigurationError, match="have sentences in common"):
            start(tmp_path, train, dev, train, **config)
