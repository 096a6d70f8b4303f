"""`structkd tag --executor ray` on two nodes, and with one of them killed in mid-run."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from structkd_allennlp.serving import parts
from structkd_allennlp.serving.cli import main
from tests.serving.conftest import exported  # noqa: F401

pytestmark = pytest.mark.cluster

pq = pytest.importorskip("pyarrow.parquet")

PART_BYTES = 30_000

DRIVER = """
import sys
from structkd_allennlp.serving import cli, parts
parts.PART_BYTES = int(sys.argv[1])
sys.exit(cli.main(sys.argv[2:]))
"""


def texts(count):
    return [
        f"{i} Maria {'Silva ' * (i % 5)}sings {'very ' * (i % 17)}well in Rotterdam."
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def files(exported, tmp_path_factory):  # noqa: F811
    """Files, and what the command makes of them on this machine, with two processes."""
    directory = tmp_path_factory.mktemp("files")
    lines = texts(6000)
    first, second, third = (str(directory / name) for name in ("a.txt", "b.jsonl", "c.txt.gz"))
    Path(first).write_text("\r\n".join(lines[:4500]), encoding="utf-8")
    with open(second, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"words": line.split()}) + "\n" for line in lines[4500:5500])
    Path(third).write_bytes(gzip.compress("\n".join(lines[5500:]).encode()))
    paths = [first, second, third]
    output = str(directory / "local")
    assert main(["tag", str(exported), *paths, "--threads", "2", "-o", output]) == 0
    return paths, Path(output).read_bytes()


@pytest.fixture
def tag(exported, nodes, tmp_path, monkeypatch):  # noqa: F811
    """Runs the command on the cluster."""
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)

    def run(*args):
        command = ["tag", str(exported), *map(str, args), "--executor", "ray"]
        return main([*command, "--address", nodes.address])

    return run


def parts_in(output):
    return sorted(output.glob("part-*"))


def joined(output):
    return b"".join(part.read_bytes() for part in parts_in(output))


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_nodes_make_what_one_machine_makes(tag, files, tmp_path):
    paths, expected = files
    output = tmp_path / "out"
    assert tag(*paths, "-o", output) == 0
    assert len(parts_in(output)) > 10
    assert joined(output) == expected
    rest = {path.name for path in output.iterdir()} - {path.name for path in parts_in(output)}
    assert rest == {"_manifest.json", "_SUCCESS"}


def test_a_node_is_killed(tag, files, nodes, tmp_path):
    """What it was doing is done by the other."""
    paths, expected = files
    output = tmp_path / "out"
    at_death = []

    def kill():
        # Both have parts in hand then, as each takes the next when it has done one.
        wait_for(lambda: len(parts_in(output)) >= 3)
        nodes.kill()
        at_death.extend(parts_in(output))

    killer = threading.Thread(target=kill)
    killer.start()
    assert tag(*paths, "-o", output) == 0
    killer.join()
    assert 3 <= len(at_death) < len(parts_in(output))
    assert joined(output) == expected
    assert not (output / "_temporary").exists()


def test_going_on_after_the_driver_was_killed(tag, files, nodes, exported, tmp_path):  # noqa: F811
    paths, expected = files
    output = tmp_path / "out"
    command = ["tag", str(exported), *paths, "-o", str(output), "--executor", "ray"]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(PART_BYTES), *command, "--address", nodes.address]
    )
    wait_for(lambda: len(parts_in(output)) >= 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # Actors may take a moment to hear of it.
    time.sleep(2)
    before = {path: path.stat().st_mtime_ns for path in parts_in(output)}
    assert not (output / "_SUCCESS").exists()
    assert tag(*paths, "-o", output) == 0
    assert len(before) < len(parts_in(output))
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert joined(output) == expected


def test_parquet_in_and_out(tag, files, exported, tmp_path):  # noqa: F811
    """Its rows are the lines of JSON, and its results can be tagged again."""
    (path, *_), _ = files
    packed, again, local = tmp_path / "packed", tmp_path / "again", tmp_path / "local"
    options = ["--marginals", "--top-k", "2"]
    assert tag(path, "--to", "parquet", "-o", packed, *options) == 0
    command = ["tag", str(exported), path, "--threads", "2", "-o", str(local)]
    assert main([*command, *options]) == 0
    expected = [json.loads(line) for line in local.read_text(encoding="utf-8").splitlines()]
    rows = pq.read_table(packed).to_pylist()
    assert {row.pop("error") for row in rows} == {None}
    assert rows == expected
    assert tag(*parts_in(packed)[:6], "--to", "jsonl", "-o", again) == 0
    found = [json.loads(line) for line in joined(again).splitlines()]
    assert len(found) > 500
    assert [(one["words"], one["tags"]) for one in found] == [
        (one["words"], one["tags"]) for one in expected[: len(found)]
    ]


def test_bad_lines(tag, exported, tmp_path, capfd):  # noqa: F811
    """As on one machine, and without --skip-errors with the file and the line."""
    lines = texts(3000)
    for number in (700, 701, 2900):
        lines[number] = '{"words": 7}'
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    output, local = tmp_path / "out", tmp_path / "local"
    assert tag(path, "-o", output) == 1
    err = capfd.readouterr().err
    assert any(f'in.jsonl, line {number}: "words" must be' in err for number in (701, 2901))
    assert "--skip-errors" in err
    assert "Traceback" not in err
    options = ["--skip-errors", "--bad-lines"]
    assert tag(path, "-o", output, *options, tmp_path / "bad") == 0
    command = ["tag", str(exported), str(path), "--threads", "2", "-o", str(local)]
    assert main([*command, *options, str(tmp_path / "local-bad")]) == 0
    assert "3 sentences could not be tagged" in capfd.readouterr().err
    assert joined(output) == local.read_bytes()
    assert joined(tmp_path / "bad") == (tmp_path / "local-bad").read_bytes()
