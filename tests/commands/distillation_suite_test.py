"""`allennlp distillation-suite` from a file to a report, with real runs."""

import json
import shlex
import signal
from unittest import mock

import pytest
from allennlp.commands import main
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import SigTermReceived

from structkd_allennlp.commands import distillation_suite as command
from structkd_allennlp.training.probability_record import read_records

TEST = "fixtures/conll/{}/test.txt"


def write_suite(path):
    path.write_text(
        """
        local runs = import 'ROOT/training_configs/lib/runs.libsonnet';
        local tasks = import 'ROOT/training_configs/lib/tasks.libsonnet';
        local task = tasks.fixtures { languages: ['en'], epochs: 2 };
        {
          title: 'Tiny',
          metric: 'f1-measure',
          test: { en: 'fixtures/conll/en/test.txt' },
          zero_shot: { pt: 'fixtures/conll/pt/test.txt' },
          teachers: { crf: { config: runs.teacher(task { epochs: 8 }), seeds: [1], members: 2 } },
          rows: [
            { name: 'baseline', config: runs.baseline(task), seeds: [1] },
            {
              name: 'posterior',
              config: runs.distillation(task, { type: 'posterior' }),
              teachers: 'crf',
              seeds: [1, 2],
            },
          ],
          baseline: 'baseline',
        }
        """.replace("ROOT", str(path.cwd())),
        encoding="utf-8",
    )


def allennlp(*arguments):
    line = [
        "allennlp",
        *map(str, arguments),
        *shlex.split("--include-package structkd_allennlp"),
    ]
    with mock.patch("sys.argv", line):
        main()


def test_suite(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    suite, directory = tmp_path / "tiny.jsonnet", tmp_path / "suite"
    write_suite(suite)
    arguments = ["distillation-suite", suite, "-s", directory, "--jobs", "2"]
    allennlp(*arguments)
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    assert [run["directory"] for run in results["runs"]] == [
        "teachers/crf/seed1/1",
        "teachers/crf/seed1/2",
        "students/baseline/seed1",
        "students/posterior/seed1",
        "students/posterior/seed2",
    ]
    for run in results["runs"]:
        assert run["status"] == "done"
        own = directory / run["directory"]
        # What `allennlp evaluate` says is what the counts add up to.
        counts = json.loads((own / "counts.json").read_text(encoding="utf-8"))
        for language in ("en", "pt"):
            archive = str(own / "model.tar.gz")
            metrics = evaluate_from_archive(archive, TEST.format(language))
            expected = 100 * metrics[f"f1-measure/{language}"]
            correct, predicted, gold = map(sum, zip(*counts[language], strict=True))
            assert 200 * correct / max(1, predicted + gold) == pytest.approx(expected)
            assert run["scores"][language] == pytest.approx(expected)
        records = read_records(own / "probabilities.npz")
        assert {x: len(r.tokens) for x, r in records.items()} == {
            x: len(sentences) for x, sentences in counts.items()
        }
        metrics = json.loads((own / "metrics.json").read_text(encoding="utf-8"))
        assert run["dev"] == pytest.approx(100 * metrics["best_validation_f1-measure/macro"])
        assert run["archive_bytes"] == (own / "model.tar.gz").stat().st_size
        assert run["parameters"] > 1000
        assert [of for _, of in run["repeated"].values()] == [len(x) for x in counts.values()]
        assert run["revisions"] == [results["environment"]["revision"]]
        assert run["environment"]["threads"] == 1
        assert run["vocabulary"]["labels"] > 2
        assert run["dev_average"] == "macro"
        taught = run["row"] == "posterior"
        sentences = run["data"]["labelled_sentences"]
        assert sentences > 10
        assert run["data"]["teachers_labelled_sentences"] == (sentences if taught else 0)
        assert run["seconds"] >= sum(epoch["seconds"] for epoch in run["epochs"]) > 0
    teacher, other, _, student, _ = results["runs"]
    assert teacher["scores"] != other["scores"]
    assert student["teacher_runs"] == [teacher["directory"], other["directory"]]
    assert teacher["scores"]["en"] > 0
    assert len(teacher["epochs"]) == 8
    assert [epoch["epoch"] for epoch in student["epochs"]] == [0, 1]
    assert student["epochs"][0]["lambda"] > student["epochs"][1]["lambda"]
    assert student["epochs"][0]["distillation_loss"] > 0
    # The store was full when the students began, so they had no need of the teacher.
    log = (directory / "students/posterior/seed1.log").read_text(encoding="utf-8")
    assert "loading teacher" not in log
    assert "loading teacher" in (directory / "targets.crf/seed1.log").read_text(encoding="utf-8")
    assert "Tiny" in (directory / "report.md").read_text(encoding="utf-8")
    assert (directory / "report.html").exists()
    assert (directory / "plots/learning-curves.svg").exists()

    # Again there is nothing to do.
    capsys.readouterr()
    allennlp(*arguments)
    printed = capsys.readouterr().out
    assert "5 of 5 done already" in printed
    assert "started" not in printed
    again = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    assert again["runs"] == results["runs"]


def test_failures_make_the_exit_status(tmp_path, monkeypatch):
    write_suite(tmp_path / "tiny.jsonnet")
    arguments = ["distillation-suite", tmp_path / "tiny.jsonnet", "-s", tmp_path / "suite"]
    for raised, status in ((KeyboardInterrupt, 130), (SigTermReceived, 143)):
        monkeypatch.setattr(command, "run_suite", mock.Mock(side_effect=raised))
        with pytest.raises(SystemExit) as exit_:
            allennlp(*arguments)
        assert exit_.value.code == status
    run_suite = mock.Mock(return_value=["students/posterior/seed1"])
    monkeypatch.setattr(command, "run_suite", run_suite)
    with pytest.raises(SystemExit, match="not done: students/posterior/seed1"):
        allennlp(*arguments, "--jobs", "3", "-o", '{"title": "Other"}')
    suite, directory, executor, packages, _ = run_suite.call_args.args
    assert (suite.title, directory, executor.slots) == ("Other", tmp_path / "suite", 3)
    assert packages == ["structkd_allennlp"]
    for option, value in (("--address", "head:6379"), ("--cpus", "2")):
        with pytest.raises(ConfigurationError, match=f"{option} is for clusters"):
            allennlp(*arguments, option, value)


@pytest.fixture(autouse=True)
def _signal_handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
