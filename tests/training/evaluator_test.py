"""One table of all files that `allennlp evaluate` is given, with means by kind of language."""

import json
import sys
from unittest import mock

import pytest
from allennlp.commands import main
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.evaluation import Evaluator

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.training.evaluator import MultilingualTaggingEvaluator, Row, scores_table

ARCHIVE = "fixtures/teachers/en.tar.gz"
NAMES = ("accuracy", "precision", "recall", "f1-measure")


def cells(table):
    header, _, *rows = [[x.strip() for x in line.split("|")[1:-1]] for line in table.splitlines()]
    return {(row[0], row[1]): dict(zip(header[2:], row[2:], strict=True)) for row in rows}


def test_means():
    """Of a language with several files, one; and by whether the model was trained on it."""
    rows = [
        Row("news", "en", {"accuracy": 0.5}),
        Row("tweets", "en", {"accuracy": 0.25}),
        Row("es.txt", "es", {"accuracy": 0.125}),
        Row("nl.txt", "nl", {"accuracy": 0.625}),
        Row("xy=pt.txt", "xy", {"accuracy": 0.875}),
    ]
    assert cells(scores_table(rows, ["en", "es", "de"])) == {
        ("news", "en"): {"accuracy": "0.500"},
        ("tweets", "en"): {"accuracy": "0.250"},
        ("es.txt", "es"): {"accuracy": "0.125"},
        ("nl.txt", "nl (zero-shot)"): {"accuracy": "0.625"},
        ("xy=pt.txt", "xy (zero-shot)"): {"accuracy": "0.875"},
        ("mean over all languages", "en, es, nl, xy"): {"accuracy": "0.500"},
        ("mean over languages trained on", "en, es"): {"accuracy": "0.250"},
        ("mean over zero-shot languages", "nl, xy"): {"accuracy": "0.750"},
    }


@pytest.mark.parametrize("trained", [[], ["en", "es"]])
def test_no_zero_shot_languages(trained):
    rows = [Row("{language}.txt", "en", {"accuracy": 1.0}), Row("{language}.txt", "es", {})]
    found = cells(scores_table(rows, trained))
    assert list(found) == [
        ("{language}.txt", "en"),
        ("{language}.txt", "es"),
        ("mean over all languages", "en, es"),
    ]
    # Not a mean over some of them.
    assert found["mean over all languages", "en, es"] == {"accuracy": ""}


def test_lines_of_one_width():
    rows = [Row("a", "en", {"accuracy": 1.0}), Row("much longer", "pt-br", {"accuracy": 0.5})]
    first, *others = scores_table(rows, ["en"]).splitlines()
    assert {len(line) for line in others} == {len(first)}


def test_the_command(tmp_path, monkeypatch, capsys):
    """One table for three files, and a file of its own for each as ever."""
    files = [f"fixtures/conll/{x}/test.txt" for x in ("en", "es")] + [
        "xy=fixtures/conll/pt/test.txt"
    ]
    outputs = [tmp_path / f"{i}.json" for i in range(3)]
    command = ["evaluate", ARCHIVE, ",".join(files)]
    command += ["--output-file", ",".join(map(str, outputs))]
    monkeypatch.setattr(sys, "argv", ["allennlp", *command])
    main()

    found = cells(capsys.readouterr().out)
    kinds = ["en", "es (zero-shot)", "xy (zero-shot)"]
    metrics = [json.loads(path.read_text(encoding="utf-8")) for path in outputs]
    for file, kind, own in zip(files, kinds, metrics, strict=True):
        language = kind.partition(" ")[0]
        assert found[file, kind] == {x: f"{own[f'{x}/{language}']:.3f}" for x in NAMES}
    zero_shot = [own["f1-measure-overall"] for own in metrics[1:]]
    mean = found["mean over zero-shot languages", "es, xy"]["f1-measure"]
    assert float(mean) == pytest.approx(sum(zero_shot) / 2, abs=0.0006)
    assert len(found) == 3 + 3


def test_languages_that_the_configuration_names(capsys):
    """For readers that have none."""
    settings = json.dumps({"evaluation": {"languages": ["pt", "en"]}})
    paths = ",".join(f"{x}=fixtures/conll/{x}/test.txt" for x in ("en", "nl"))
    evaluate_from_archive(ARCHIVE, paths, cmd_overrides=settings)
    found = cells(capsys.readouterr().out)
    assert [language for _, language in found][:2] == ["en", "nl (zero-shot)"]


def test_a_language_that_the_reader_leaves_out(capsys):
    """Of a dictionary, also on the command line, it reads only its own languages."""
    paths = {language: f"fixtures/conll/{language}/test.txt" for language in ("en", "nl")}
    with pytest.raises(ConfigurationError, match=r"'nl' were not evaluated.*as in 'en=path,nl"):
        evaluate_from_archive(ARCHIVE, json.dumps(paths))
    assert "|" not in capsys.readouterr().out


def test_a_missing_file_leaves_the_table_of_the_others(tmp_path, capsys):
    files = f"fixtures/conll/en/test.txt,{tmp_path / 'none.txt'}"
    with pytest.raises(Exception, match=r"none\.txt"):
        evaluate_from_archive(ARCHIVE, files)
    assert next(file for file, _ in cells(capsys.readouterr().out)) == "fixtures/conll/en/test.txt"


def test_other_models_are_evaluated_as_ever(capsys):
    """Also where a configuration names another evaluator."""
    evaluator = Evaluator.from_params(Params({}))
    assert isinstance(evaluator, MultilingualTaggingEvaluator)
    model, loader = mock.MagicMock(), mock.MagicMock()
    model.get_metrics.return_value = {"accuracy": 0.5, "f1-measure-overall": 0.25}
    assert evaluator(model, loader) == {"accuracy": 0.5, "f1-measure-overall": 0.25}
    simple = json.dumps({"evaluation": {"type": "simple"}})
    evaluate_from_archive(ARCHIVE, "fixtures/conll/en/test.txt", cmd_overrides=simple)
    assert capsys.readouterr().out == ""
