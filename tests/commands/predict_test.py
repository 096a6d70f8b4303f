"""`allennlp predict` as a user types it, over input with lines that cannot be tagged."""

import gzip
import json
import os
import subprocess
import sys
import threading

import pytest
from allennlp.commands import main
from allennlp.common.checks import ConfigurationError

ARCHIVE = "fixtures/teachers/en.tar.gz"
LINES = [
    "\ufeffMaria lives in Porto.",
    "",
    '{"sentence": "half \\ud800"}',
    "   ",
    '["Maria", "sings"]',
    '{"words": ["a", 1]}',
    "Anna sings.",
]
BAD = [LINES[2], LINES[5]]
# What each line of the output is about, or the number of the line that it says is bad.
EXPECTED = [
    ["Maria", "lives", "in", "Porto", "."],
    2,
    ["Maria", "sings"],
    4,
    ["Anna", "sings", "."],
]


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "input.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def predict(tmp_path, monkeypatch):
    """Runs the command and returns what it wrote."""

    def run(given, *arguments, **settings):
        output = tmp_path / "output.jsonl"
        command = ["predict", ARCHIVE, given, "--output-file", output, "--silent", *arguments]
        command += ["--predictor-args", json.dumps(settings)]
        monkeypatch.setattr(sys, "argv", ["allennlp", *map(str, command)])
        main()
        return read(output)

    return run


def read(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def check(outputs):
    for output, expected in zip(outputs, EXPECTED, strict=True):
        if isinstance(expected, int):
            assert set(output) == {"error"}
            assert output["error"].startswith(f"line {expected} (blank lines not counted): ")
        else:
            assert output["words"] == expected


@pytest.mark.parametrize("size", [1, 2, 100])
def test_going_on(predict, given, tmp_path, size):
    bad = tmp_path / "bad.jsonl"
    check(predict(given, "--batch-size", size, skip_errors=True, bad_lines=str(bad)))
    assert bad.read_text(encoding="utf-8").splitlines() == BAD


def test_stopping(predict, given):
    with pytest.raises(ConfigurationError) as error:
        predict(given)
    assert error.value.message.startswith("line 2 (blank lines not counted): character 6")


def test_compressed_input(predict, given, tmp_path):
    path = tmp_path / "input.txt.gz"
    path.write_bytes(gzip.compress(given.read_bytes()))
    check(predict(path, skip_errors=True))


def test_a_pipe(predict, given, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(given.read_bytes()))
    writer.start()
    check(predict(pipe, skip_errors=True))
    writer.join()


def test_bytes_that_are_no_utf8_in_a_locale_that_is_not_either(tmp_path):
    """
    From standard input such bytes make an error of their line; the output is ASCII; the count comes
    last.
    """
    output = tmp_path / "output.jsonl"
    settings = json.dumps({"skip_errors": True})
    arguments = [
        "predict",
        ARCHIVE,
        "-",
        "--output-file",
        str(output),
        "--predictor-args",
        settings,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "allennlp", *arguments],
        input="Мария\n".encode() + b"M\xfcnchen\n" + b"Porto\n",
        env={
            **os.environ,
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": "utf-8:surrogateescape",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
    )
    log = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, log[-3000:]
    assert output.read_bytes().isascii()
    first, second, third = read(output)
    assert (first["words"], third["words"]) == (["Мария"], ["Porto"])
    assert r"character 2, '\udcfc', is half of" in second["error"]
    assert "1 of 3 inputs could not be tagged" in log.splitlines()[-1]
