"""`structkd tag` in this process, with a tagger of rules: order, bad lines, and going on."""

import contextlib
import gzip
import io
import json
import os
import re
import sys

import pytest

from structkd_allennlp.common.requests import Request
from structkd_allennlp.serving import bulk
from structkd_allennlp.serving.cli import main
from structkd_allennlp.serving.formats import JsonLines, Record
from structkd_allennlp.serving.input_files import InputFile
from structkd_allennlp.serving.outcomes import Asked
from tests.serving.fake_tagger import FakeTagger

TEXTS = [f"Ana {'sings ' * (i % 7)}in Porto{i}." for i in range(20)]


@pytest.fixture
def job(tmp_path, monkeypatch, capfdbinary):
    """Runs the command in an empty directory: its exit status, output and messages."""
    monkeypatch.setattr("structkd_allennlp.serving.tagger.Tagger", FakeTagger)
    monkeypatch.setattr(bulk, "WINDOW", 4)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()

    def run(*args, stdin=b""):
        file = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))
        monkeypatch.setattr("sys.stdin", file)
        status = main(["tag", "model", *args, "--threads", "1"])
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


def write(name, text):
    content = text.encode("utf-8", "surrogateescape")
    with open(name, "wb") as file:
        file.write(gzip.compress(content) if name.endswith(".gz") else content)


def words_of(output):
    return ["".join(json.loads(line)["words"]) for line in output.splitlines()]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz"])
def test_keeps_order(job, name):
    write(name, "\n\n".join(TEXTS))
    status, out, err = job(name)
    assert (status, err) == (0, "")
    assert words_of(out) == [text.replace(" ", "") for text in TEXTS]


def test_several_files_and_standard_input(job):
    write("a.txt", TEXTS[0])
    write("b.conll", "Ana O\nsings O\n")
    status, out, _ = job("b.conll", "-", "a.txt", stdin=b'{"words": ["x"]}\n')
    assert status == 0
    assert words_of(out) == ["Anasings", "x", "AnainPorto0."]


def test_columns_go_out_as_they_came(job):
    write("a.conll", "-DOCSTART- O\n\nAna\tX\nsings\tX\n")
    assert job("a.conll")[1] == "-DOCSTART- O\n\nAna\tB-PER\nsings\tO\n\n"
    rest = "\t_" * 6
    expected = f"1\tAna\t_\tB-PER{rest}\n2\tsings\t_\tO{rest}\n\n"
    assert job("a.conll", "--to", "conllu")[1] == expected
    assert (
        job("-", "--from", "conll", "--token-column", "1", "--tag-column", "0", stdin=b"x Ana")[1]
        == "B-PER Ana\n\n"
    )


def test_settings_reach_the_tagger(job):
    write("a.jsonl", '{"sentence": "Ana", "language": "pt"}\nAna\n')
    _, out, _ = job("a.jsonl", "--language", "en", "--top-k", "2", "--marginals")
    first, second = map(json.loads, out.splitlines())
    assert (first["language"], second["language"]) == ("pt", "en")
    assert len(first["top_k"]) == 2
    assert len(first["marginals"]) == 1


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", "one\n!!!\nAna", "a.txt, line 2: !!! cannot be tagged"),
        ("a.jsonl", 'one\n{"words": 7}\nAna', 'a.jsonl, line 2: "words" must be'),
        ("a.txt.gz", "one\n\udcff\nAna", "a.txt.gz, line 2: the byte 0xff"),
        ("a.conll", "one O\n\nx\n\nAna O", "a.conll, line 3: 1 column ('x')"),
        (
            "a.conllu",
            "1\tone" + "\t_" * 8 + "\n\nx\n\n1\tAna" + "\t_" * 8,
            "a.conllu, line 3: malformed",
        ),
    ],
)
def test_a_bad_line(job, name, text, reason):
    """Ends the job after all that is before it; or is left to the output, and to a file."""
    write(name, text)
    status, out, err = job(name, "--to", "jsonl")
    assert status == 1
    assert reason in err
    assert words_of(out) == ["one"]
    status, out, err = job(name, "--to", "jsonl", "--skip-errors", "--bad-lines", "bad")
    assert status == 0
    assert "1 sentences could not be tagged" in err
    first, bad, last = map(json.loads, out.splitlines())
    assert (first["words"], last["words"]) == (["one"], ["Ana"])
    assert list(bad) == ["error"]
    assert reason in bad["error"]
    with open("bad", "rb") as file:
        kept = file.read().decode("utf-8", "surrogateescape")
    separator = "\n\n" if "conll" in name else "\n"
    assert kept == text.split(separator)[1] + separator


def test_one_bad_sentence_of_many(job):
    texts = [*TEXTS[:10], "!!!", *TEXTS[10:]]
    write("a.txt", "\n".join(texts))
    status, out, _ = job("a.txt", "--skip-errors")
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [i for i, line in enumerate(lines) if "error" in line] == [10]
    assert len(lines) == 21


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["missing.txt"], "missing.txt: cannot be read"),
        (["a.txt", "--bad-lines", "b"], "--bad-lines has nothing to write"),
        (["a.txt", "-o", "no/such/place"], "cannot be written"),
        (["a.conllu", "--tag-column", "1"], "--tag-column is 1"),
    ],
)
def test_mistakes(job, args, message):
    write("a.txt", "x")
    status, out, err = job(*args)
    assert (status, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_model_that_is_none(capsys, monkeypatch):
    monkeypatch.setattr("structkd_allennlp.serving.tagger.Tagger", FakeTagger)
    assert main(["tag", "/no/such/model", "-"]) == 1
    assert "there is no model" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--top-k", "--threads"])
def test_whole_numbers(option, capsys):
    with pytest.raises(SystemExit):
        main(["tag", "model", option, "0"])
    assert "'0' is not a whole number of at least 1" in capsys.readouterr().err


class Stop(BaseException):
    """As if the process had been killed."""


@contextlib.contextmanager
def stopping(calls):
    """The tagger takes so many calls, and then the block ends."""
    left = iter(range(calls))
    original = FakeTagger.tag_requests

    def tag_requests(self, *args, **kwargs):
        if next(left, None) is None:
            raise Stop
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTagger, "tag_requests", tag_requests)
        with pytest.raises(Stop):
            yield


@pytest.mark.parametrize("output", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("calls", [0, 1, 3])
def test_going_on(job, output, calls):
    """Whenever a job is stopped, even within a write, it goes on to the same whole output."""
    texts = [*TEXTS[:7], "!!!", *TEXTS[7:]]
    write("a.txt", "\n".join(texts))
    options = ["a.txt", "-o", output, "--skip-errors", "--bad-lines", "bad"]
    expected = job("a.txt", "--skip-errors")[1]
    with stopping(calls):
        job(*options)
    assert not os.path.exists(output)
    with open(f"{output}.part", "ab") as file:
        file.write(b'{"words": ["ha')
    with open("bad", "ab") as file:
        file.write(b"half a li")
    status, _, err = job(*options)
    assert status == 0
    assert "1 sentences could not be tagged" in err
    with gzip.open(output) if output.endswith("gz") else open(output, "rb") as file:
        assert file.read().decode() == expected
    with open("bad") as file:
        assert file.read() == "!!!\n"
    assert sorted(os.listdir()) == ["a.txt", "bad", "model", output]


@pytest.fixture
def stopped(job):
    """A job that has been stopped after some windows."""
    write("a.txt", "\n".join(TEXTS))
    with stopping(3):
        job("a.txt", "-o", "out")
    return job


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top-k", "2"], "was begun with --top-k 1, not 2"),
        (["--language", "pt"], "was begun with --language None, not 'pt'"),
        (["--to", "conll"], "was begun with --to 'jsonl', not 'conll'"),
    ],
)
def test_going_on_otherwise(stopped, options, message):
    status, _, err = stopped("a.txt", "-o", "out", *options)
    assert status == 1
    assert message in err
    assert "remove out.part and out.part.json" in err


def test_going_on_with_other_input(stopped):
    write("a.txt", "\n".join(["changed", *TEXTS]))
    status, _, err = stopped("a.txt", "-o", "out")
    assert status == 1
    assert "the input is not what out.part was begun with" in err
    write("a.txt", TEXTS[0])
    assert stopped("a.txt", "-o", "out")[0] == 1
    write("a.txt", "\n".join(TEXTS))
    assert stopped("a.txt", "-o", "out")[0] == 0


@pytest.mark.parametrize("journal", ["", "{}", "[]", '{"bytes": 999999, "settings": {}}'])
def test_a_damaged_journal(stopped, journal):
    with open("out.part.json", "w") as file:
        file.write(journal)
    status, _, err = stopped("a.txt", "-o", "out")
    assert status == 1
    assert "out.part.json does not fit out.part. Remove" in err


def test_input_that_is_mended(job):
    """A bad line ends a job; the rest follows when it has been corrected."""
    write("a.txt", "\n".join([*TEXTS[:6], "!!!", *TEXTS[6:]]))
    status, _, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "line 7" in err
    assert "the same command goes on from there" in err
    write("a.txt", "\n".join(TEXTS))
    assert job("a.txt", "-o", "out")[0] == 0
    with open("out") as file:
        assert words_of(file.read()) == [text.replace(" ", "") for text in TEXTS]


def test_an_output_that_is_there(job):
    write("a.txt", "x")
    write("out", "precious")
    status, _, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "out exists" in err
    with open("out") as file:
        assert file.read() == "precious"


def test_two_jobs_with_one_output(job):
    import fcntl

    write("a.txt", "x")
    with open("out.part", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, _, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "another job is writing out.part" in err
    assert job("a.txt", "-o", "out")[0] == 0


def test_nothing_to_tag(job):
    write("a.txt", "\n \n")
    assert job("a.txt") == (0, "", "")
    assert job("a.txt", "-o", "out")[0] == 0
    assert os.path.getsize("out") == 0


def test_constant_memory():
    """However long the input, reading is no more than a few windows ahead of writing."""
    read = 0

    def places():
        nonlocal read
        for read in range(1, 61):
            yield bulk.Place(InputFile("x"), Record(read, ["Ana"], Request("Ana", None)))

    tagger = bulk.BulkTagger("", FakeTagger(), JsonLines(), None, Asked(), processes=1, window=4)
    written = 0
    for window in tagger.windows(places()):
        written += len(window)
        assert read - written <= 8
    assert written == 60


def test_a_reader_that_has_seen_enough(job, monkeypatch):
    """No message, and no traceback at the end."""
    write("a.txt", "\n".join(TEXTS))
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr("sys.stdout", os.fdopen(writing, "w"))
    assert main(["tag", "model", "a.txt", "--to", "jsonl", "--threads", "1"]) == 1
    sys.stdout.close()


def test_progress(monkeypatch, capfd):
    from structkd_allennlp.serving import progress

    with progress.progress_bar(100) as shown:
        shown.add(7, 50)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress_bar(100) as shown:
        shown.add(1234, 50)
    err = capfd.readouterr().err
    assert re.search(r"50%.*1,234 sentences", err)
