"""The command as it is typed, with a model that has been exported."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from structkd_allennlp.serving.cli import main, parser

COMMAND = [sys.executable, "-m", "structkd_allennlp.serving.cli"]
SENTENCE = "Maria lives in Porto."


def test_tag(exported, tagger, tmp_path, capfd):
    """Writes what the tagger says."""
    texts = [SENTENCE, "日本 Ada Lovelace", "x"]
    path = tmp_path / "a.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    options = ["--language", "en", "--top-k", "2", "--marginals", "--threads", "1"]
    assert main(["tag", str(exported), str(path), *options]) == 0
    written = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert written == tagger.tag(texts, "en", 2, True)


def test_columns_of_a_corpus(exported, tagger, capfd):
    assert main(["tag", str(exported), "fixtures/conll/en/test.txt", "--from", "conll"]) == 0
    with open("fixtures/conll/en/test.txt", encoding="utf-8") as file:
        rows = [line.split() for line in file]
    written = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [row[:-1] for row in written if row] == [row[:-1] for row in rows if row]
    correct = [found == gold for found, gold in zip(written, rows, strict=False) if gold]
    assert sum(correct) > 0.9 * len(correct)


def test_show(exported, tagger, capsys, monkeypatch):
    assert main(["show", str(exported)]) == 0
    assert capsys.readouterr().out == tagger.card + "\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["show", str(exported)]) == 0
    shown = capsys.readouterr().out
    assert "Labels:" in shown
    assert "pipeline_tag" not in shown


@pytest.mark.parametrize("command", ["tag", "show", "serve"])
def test_what_is_no_model(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 1
    assert "is not an exported tagger" in capsys.readouterr().err


def test_a_port_that_is_taken(exported, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(exported), "--port", str(port)]) == 1
    assert f"port {port}: Address already in use" in capsys.readouterr().err


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_long_job_that_is_killed(exported, tagger, tmp_path):
    """Leaves no process behind, and goes on to what it would have written."""
    sentences = [["Maria"] * (i % 9 + 1) for i in range(9000)]
    source, output = tmp_path / "a.jsonl", tmp_path / "out.conll"
    source.write_text("".join(json.dumps(words) + "\n" for words in sentences))
    command = [*COMMAND, "tag", exported, source, "--to", "conll", "-o", output, "--threads", "2"]
    job = subprocess.Popen(command)
    journal = tmp_path / "out.conll.part.json"
    wait_for(lambda: journal.exists() or job.poll() is not None)
    workers = children(job.pid)
    # It may have been done sooner.
    killed = job.poll() is None
    job.kill()
    job.wait()
    wait_for(lambda: not any(map(alive, workers)))
    if killed:
        assert len(workers) >= 2
        assert not output.exists()
        done = json.loads(journal.read_text())["records"]
        assert done
        subprocess.run(command, check=True, timeout=300)
    by_length = [result["tags"] for result in tagger.tag(sentences[:9])]
    expected = ["".join(f"Maria\t{tag}\n" for tag in by_length[i % 9]) + "\n" for i in range(9000)]
    assert output.read_text() == "".join(expected)
    assert not journal.exists()


@contextlib.contextmanager
def serving(*args):
    """A server in a process of its own, and its address."""
    server = subprocess.Popen(
        [*COMMAND, "serve", *args, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        yield server, re.search(r"http://\S+:\d+", line)[0]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_serve(exported, tagger):
    """Serves, and ends as it is told to."""
    with serving(exported, exported, "--threads", "1") as (server, url):
        names = [model["name"] for model in httpx.get(f"{url}/api/models", timeout=60).json()]
        assert names == [str(exported)], "two of one name go by their paths, which are one here"
        answer = httpx.post(f"{url}/api/tag", json={"sentences": [SENTENCE]}, timeout=60)
        assert answer.json()["results"][0]["tags"] == tagger.tag([SENTENCE])[0]["tags"]
        assert httpx.get(f"{url}/").status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in (0, -signal.SIGTERM)


def test_commands_of_the_page_parse():
    page = Path("docs/serving.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ {4}structkd (.*)$", page, re.MULTILINE)
    assert {command.split()[0] for command in commands} == {"tag", "serve"}
    for command in commands:
        parser().parse_args(shlex.split(command))


def test_the_package_holds_the_page():
    """As it is installed, and without building it."""
    with open("setup.py", encoding="utf-8") as file:
        text = file.read()
    assert '"serving/page/*"' in text
    assert '"structkd = structkd_allennlp.serving.cli:main"' in text
    assert {"index.html", "page.css", "page.js"} <= set(
        os.listdir("structkd_allennlp/serving/page")
    )
