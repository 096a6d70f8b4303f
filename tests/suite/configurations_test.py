"""The suites that are kept compare what is alike."""

import pytest
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite.specification import Suite
from tests.training_configs_test import (
    ABLATIONS,
    ENCODERS,
    FEW_LABELS,
    FEW_LABELS_ENCODERS,
    FOLDER,
    SUITES,
    TASKS,
    named,
    needs_data,
)


@needs_data
@pytest.mark.parametrize("task", sorted(TASKS))
def test_comparisons_are_fair(task, monkeypatch):
    """All have the same labels, words and parameters; only what is added differs."""
    monkeypatch.setenv("TASK", task)
    suite = Suite.from_file(str(ABLATIONS))
    main = Suite.from_file(str(FOLDER / f"suites/{task}.jsonnet"))
    check_goes_on(task, suite, main)
    check_ensemble(main)
    check_encoders(task, main, ENCODERS, "", monkeypatch)
    # The first tenth of opinion targets is development data.
    fold = 2 if task == "aspect" else 1
    for percentage, part in (("10", f"#fold={fold}of10"), ("1", f"#fold={fold}of100")):
        monkeypatch.setenv("PERCENTAGE", percentage)
        few = Suite.from_file(str(FEW_LABELS))
        check_fairness(task, [main.rows[0], *few.rows], part)
        assert [row.name for row in few.rows] == [row.name for row in main.rows]
        check_ensemble(few)
        check_encoders(task, few, FEW_LABELS_ENCODERS, part, monkeypatch)


def check_goes_on(task, suite, main, part=""):
    """What another suite has run is not run again, and what is added is as fair."""
    assert suite.rows[: len(main.rows)] == main.rows
    assert main.teachers.items() <= suite.teachers.items()
    full = Suite.from_file(str(FOLDER / f"suites/{task}.jsonnet"))
    check_fairness(task, [full.rows[0], *suite.rows] if part else suite.rows, part)


def check_encoders(task, main, path, part, monkeypatch):
    """The same comparison, and students that have one teacher more, of the same labels."""
    monkeypatch.setenv("ENCODER", "no/encoder")
    with pytest.raises(ConfigurationError, match="no/encoder does not exist: pre-train it"):
        Suite.from_file(str(path))
    monkeypatch.setenv("ENCODER", "fixtures/tiny_mbert")
    suite = Suite.from_file(str(path))
    check_goes_on(task, suite, main, part)
    baseline = main.rows[0].config
    config = suite.teachers["encoder"]["config"]
    assert config["train_data_path"] == baseline["train_data_path"]
    assert config["validation_data_path"] == baseline["validation_data_path"]


def check_ensemble(suite):
    """New ones, of the labels that the students have."""
    (teachers,) = suite.teachers.values()
    assert len(teachers["seeds"]) > 1
    baseline = suite.rows[0].config
    assert teachers["config"]["train_data_path"] == baseline["train_data_path"]


def check_fairness(task, rows, part):
    """Of rows that have this part of the labels; the first has all."""
    first, *others = rows
    baseline = first.config
    configs = {row.name: row.config for row in (others if part else rows)}
    for name, config in configs.items():
        assert config["datasets_for_vocab_creation"] == baseline["datasets_for_vocab_creation"]
        assert config["vocabulary"] == baseline["vocabulary"]
        assert config["test_data_path"] == baseline["train_data_path"]
        assert config["validation_data_path"] == baseline["validation_data_path"]
        if name not in ("softmax", "token_kd"):
            assert config["model"].get("student", config["model"]) == baseline["model"]
        labelled = config["train_data_path"]
        if name.startswith("text_"):
            labelled, text = labelled
            raw, *others = text["unlabelled"]
            # Of the task's own kind, where there is any.
            own = f"unlabelled/{task}" if task in ("wikiann", "conll2002") else "text"
            assert raw == f"data/{own}/{{language}}.txt"
            if name.startswith("text_encoder_") and task == "conll2002":
                assert others == ["data/text/{language}.txt"]
            else:
                assert not others or name == "text_zero_shot"
        if name.startswith("samples_"):
            # Of sentences like the labelled ones, and of no others.
            labelled, text = labelled
            assert text == {"unlabelled": [labelled]}
            assert config["trainer"] == configs["text_pseudo_labels"]["trainer"]
        if name.startswith("rest_"):
            # Of the labelled sentences that nobody has the labels of, and of no others.
            labelled, text = labelled
            rest = part.replace("#fold", "#not-fold")
            assert text == {"unlabelled": [baseline["train_data_path"] + rest]}
        assert labelled == baseline["train_data_path"] + part
        # The same text, read as often as the control reads it.
        if name.startswith("text_") and name != "text_zero_shot":
            assert config["trainer"] == configs["text_pseudo_labels"]["trainer"]
            assert config["dataset_reader"] == configs["text_pseudo_labels"]["dataset_reader"]


@needs_data
@pytest.mark.parametrize("suite", SUITES, ids=named)
def test_suites_can_be_run(suite, monkeypatch):
    """As far as that can be told without training; their test files are there."""
    monkeypatch.setenv("TASK", "aspect")
    monkeypatch.setenv("PERCENTAGE", "10")
    monkeypatch.setenv("ENCODER", "fixtures/tiny_mbert")
    assert Suite.from_file(str(suite)).rows
