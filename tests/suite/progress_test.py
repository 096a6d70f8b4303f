"""What a user sees of a suite that runs, in a terminal and in a file."""

import io
import re

import pytest
from rich.console import Console

from structkd_allennlp.common.files import write_json
from structkd_allennlp.suite.jobs import Entry, Step, TargetsJob, TrainJob
from structkd_allennlp.suite.progress import SuiteProgress


@pytest.fixture
def steps(tmp_path):
    def train(name, state="waiting", **result):
        directory = str(tmp_path / name)
        entry = Entry("student", name, "0", None)
        config = {"trainer": {"num_epochs": 20}}
        job = TrainJob(entry, directory, config, {}, "accuracy", "0", [])
        return Step(name, job, name.rpartition("/")[0], state=state, result=result)

    return [
        train("students/row[1]/seed1", "done", seconds=600.0),
        Step("targets.crf", TargetsJob([], []), "targets"),
        train("students/row[1]/seed2"),
        train("students/row[1]/seed3"),
    ]


@pytest.fixture
def show(steps, tmp_path):
    def show(terminal):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=120, _environ={"TERM": "xterm"})
        progress = SuiteProgress(steps, tmp_path, 2, console)

        def become(step, state, **changes):
            for name, value in {"state": state, **changes}.items():
                setattr(step, name, value)
            progress.show(step)

        with progress:
            yield_ = (progress, become, file)
            drive(steps, tmp_path, *yield_)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())

    return show


def drive(steps, directory, progress, become, file):
    _, fill, second, third = steps
    become(fill, "running")
    become(second, "running")
    progress._bars.refresh()
    write_json(directory / second.name / "epochs.json", [{}, {}, {}])
    progress._bars.refresh()
    become(fill, "done")
    write_json(directory / second.name / "metrics.json", {})
    progress._bars.refresh()
    become(second, "done", result={"seconds": 1.0, "scores": {"en": 81.234}})
    become(third, "running")
    become(third, "failed", error="what went wrong")


LINES = [
    r"targets\.crf: started \(its log is .*/targets\.crf\.log\)",
    r"students/row\[1\]/seed2: started \(its log is .*seed2\.log\)",
    r"targets\.crf: done in 0\.\d s \(2 of 4 done; about 10\.0 min left\)",
    r"students/row\[1\]/seed2: done in 0\.\d s, en 81\.23 \(3 of 4 done; about 2\.5 min left\)",
    r"students/row\[1\]/seed3: started .*",
    r"students/row\[1\]/seed3: failed\. The last lines of .*seed3\.log:",
    "what went wrong",
]


def test_lines(show):
    lines = show(terminal=False).splitlines()
    assert len(lines) == len(LINES)
    for line, expected in zip(lines, LINES, strict=True):
        assert re.fullmatch(rf"(\d\d:\d\d:\d\d )?{expected}", line)


def test_a_terminal(show):
    text = show(terminal=True)
    for line in LINES:
        assert re.search(line, text)
    assert "2 running, 1 waiting, 1 done; about 10.0 min left" in text
    assert "scoring the training data" in text
    assert "epoch 0 of 20 done" in text
    assert "epoch 3 of 20 done" in text
    assert "evaluating" in text
