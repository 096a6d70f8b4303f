"""What the nodes do and what the command keeps, without a cluster, by a tagger of rules."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from structkd_allennlp.common.cluster import Patience
from structkd_allennlp.serving import bulk, cluster_tag, parts
from structkd_allennlp.serving.cli import main
from structkd_allennlp.serving.file_systems import OutputDirectory, open_binary
from structkd_allennlp.serving.part_tagger import PartTagger
from tests.serving.fake_tagger import FakeTagger

pytestmark = pytest.mark.cluster

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEXTS = [f"Ana {'sings ' * (i % 7)}in Porto{i}." for i in range(40)]


@pytest.fixture
def job(tmp_path, monkeypatch, capfd):
    """Runs the command in an empty directory: its exit status and messages."""
    for module in ("tagger", "part_tagger"):
        monkeypatch.setattr(f"structkd_allennlp.serving.{module}.Tagger", FakeTagger)
    monkeypatch.setattr(bulk, "WINDOW", 4)
    monkeypatch.setattr(parts, "PART_BYTES", 200)
    monkeypatch.setattr(cluster_tag, "_connected", lambda address: contextlib.nullcontext())
    monkeypatch.setattr(cluster_tag, "_results", results)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    Path("a.txt").write_text("\n".join(TEXTS))

    def run(*args):
        status = main(["tag", "model", *args, "--executor", "ray"])
        return status, capfd.readouterr().err

    return run


def results(job, left, workers):
    tagger = PartTagger(job)
    for number, pieces in left:
        yield tagger(number, pieces)


@contextlib.contextmanager
def stopping(calls):
    """So many parts are done, and then the block ends."""

    def some(job, left, workers):
        yield from results(job, left[:calls], workers)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_tag, "_results", some)
        yield


def words_in(output):
    found = sorted(Path(output).glob("part-*"))
    lines = [line for path in found for line in path.read_text().splitlines()]
    return ["".join(json.loads(line)["words"]) for line in lines]


WORDS = [text.replace(" ", "") for text in TEXTS]


def test_going_on(job):
    with stopping(3):
        assert job("a.txt", "-o", "out")[0] == 130
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert len(before) == 3
    assert job("a.txt", "-o", "out") == (0, "")
    assert words_in("out") == WORDS
    assert {path: path.stat().st_mtime_ns for path in before} == before
    status, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "out exists" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top-k", "2"], "was begun with --top-k 1, not 2"),
        (["--language", "pt"], "was begun with --language None, not 'pt'"),
        (["--to", "parquet"], "was begun with --to 'jsonl', not 'parquet'"),
        (["b.txt"], "b.txt was not among it"),
        (["--from", "jsonl"], "had another --from"),
    ],
)
def test_going_on_otherwise(job, options, message):
    Path("b.txt").write_text("x")
    with stopping(2):
        job("a.txt", "-o", "out")
    status, err = job("a.txt", *options, "-o", "out")
    assert status == 1
    assert message in err
    assert "or remove" in err


@pytest.mark.parametrize(
    "change", [lambda: os.utime("a.txt"), lambda: Path("a.txt").write_text("x")]
)
def test_going_on_with_other_input(job, change):
    with stopping(2):
        job("a.txt", "-o", "out")
    change()
    status, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "a.txt was not among it, has been changed" in err


def test_going_on_with_a_damaged_manifest(job):
    with stopping(2):
        job("a.txt", "-o", "out")
    Path("out/_manifest.json").write_text("{")
    assert "is damaged" in job("a.txt", "-o", "out")[1]


def test_what_is_in_the_way(job):
    Path("out").mkdir()
    Path("out/mine").write_text("precious")
    status, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "out exists" in err


def test_a_part_is_whole_or_not_there(job, monkeypatch):
    """Also where two write it at once."""
    directory = OutputDirectory("out")
    with directory.writing("part") as one:
        one.write(b"the sa")
        assert not os.path.exists("out/part")
        with directory.writing("part") as other:
            other.write(b"the same")
        assert Path("out/part").read_bytes() == b"the same"
        one.write(b"me")
    assert Path("out/part").read_bytes() == b"the same"

    def stopped():
        with directory.writing("other") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert os.listdir("out/_temporary") == []
    directory.tidy()
    assert os.listdir("out") == ["part"]


def test_bad_lines(job):
    lines = TEXTS.copy()
    lines[7] = lines[33] = "!!!"
    Path("a.txt").write_text("\n".join(lines))
    status, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "a.txt, line 8: !!! cannot be tagged\n" in err
    assert "--skip-errors" in err
    assert "--bad-lines has nothing" in job("a.txt", "-o", "out", "--bad-lines", "bad")[1]
    status, err = job("a.txt", "-o", "out", "--skip-errors", "--bad-lines", "bad")
    assert status == 0
    assert "2 sentences could not be tagged; the output says why, and they are in bad" in err
    found = [path.read_text() for path in sorted(Path("bad").glob("part-*"))]
    assert found == ["!!!\n", "!!!\n"]
    text = "".join(path.read_text() for path in sorted(Path("out").glob("part-*")))
    assert "a.txt, line 34" in text
    assert text.count("\n") == len(lines)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.txt"], "name it by --output"),
        (["-", "-o", "out"], "not standard input"),
        (["missing.txt", "-o", "out"], "missing.txt: cannot be read"),
        (["a.txt", "-o", "nothing://x/out"], "nothing://x/out: "),
        (["a.parquet", "-o", "out"], "a.parquet: cannot be read"),
    ],
)
def test_mistakes(job, args, message):
    Path("a.parquet").write_text("x")
    status, err = job(*args)
    assert status == 1
    assert message in err
    assert "Traceback" not in err


def test_a_node_that_sees_nothing(job, monkeypatch):
    """What it says tells the node and what has to be done."""
    original = cluster_tag._results

    def elsewhere(job, left, workers):
        return original(job._replace(output="/somewhere/else"), left, workers)

    monkeypatch.setattr(cluster_tag, "_results", elsewhere)
    status, err = job("a.txt", "-o", "out")
    assert status == 1
    assert "/somewhere/else is not there: --output must be on a path that all nodes see" in err
    assert "(on the node " in err
    assert not os.path.exists("/somewhere")


def test_paths_by_uri(job):
    """What pyarrow opens; file:// stands for all of it here."""
    where = Path.cwd().as_uri()
    assert job(f"{where}/a.txt", "-o", f"{where}/out") == (0, "")
    assert words_in("out") == WORDS
    with open_binary(f"{where}/a.txt") as stream:
        assert stream.peek(3)[:3] == b"Ana"
    assert main(["tag", "model", f"{where}/a.txt", "--threads", "1", "-o", "local"]) == 0
    assert Path("local").read_text().count("\n") == len(TEXTS)


@pytest.mark.parametrize("column", ["sentence", "words"])
def test_parquet(job, column):
    values = [text.split() if column == "words" else text for text in TEXTS]
    languages = ["pt" if i % 2 else None for i in range(len(TEXTS))]
    table = pa.table({"id": range(len(TEXTS)), column: values, "language": languages})
    pq.write_table(table, "a.parquet", row_group_size=7)
    assert job("a.parquet", "-o", "out") == (0, "")
    assert len(list(Path("out").glob("part-*"))) > 2
    rows = pq.read_table("out").to_pylist()
    assert ["".join(row["words"]) for row in rows] == WORDS
    assert [row["language"] for row in rows] == languages
    # The same on this machine, but for the output's format.
    assert main(["tag", "model", "a.parquet", "--threads", "1", "-o", "local"]) == 0
    lines = [json.loads(line) for line in Path("local").read_text().splitlines()]
    for row in rows:
        assert row.pop("error") is None
        for entity in row["entities"]:
            if entity["start_char"] is None:
                del entity["start_char"], entity["end_char"]
    assert rows == lines


def test_bad_rows_of_parquet(job):
    values = ["Ana", None, "", "!!!", "x"]
    pq.write_table(pa.table({"sentence": values}), "a.parquet", row_group_size=1)
    status, err = job("a.parquet", "-o", "out")
    assert status == 1
    assert 'a.parquet, row 2: an input needs either "words"' in err
    assert job("a.parquet", "-o", "out", "--skip-errors")[0] == 0
    rows = pq.read_table("out").to_pylist()
    assert [row["words"] for row in rows] == [["Ana"], None, [], None, ["x"]]
    assert "row 4: !!! cannot be tagged" in rows[3]["error"]


@pytest.mark.parametrize("columns", [{"text": ["a"]}, {"sentence": ["a"], "words": [["a"]]}])
def test_columns_of_parquet(job, columns):
    pq.write_table(pa.table(columns), "a.parquet")
    status, err = job("a.parquet", "-o", "out")
    assert status == 1
    assert f"its columns are {', '.join(columns)}. It needs either" in err


def test_parquet_out_has_a_remedy_on_one_machine(job, capfd):
    assert main(["tag", "model", "a.txt", "--to", "parquet", "-o", "out"]) == 1
    assert "--to parquet needs --executor ray" in capfd.readouterr().err


def test_no_nodes(monkeypatch, capfd):
    """It is said once, and the command ends in the end."""
    times = iter([0, 100, 120, 140, 150, 701])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    patience = Patience(cluster_tag._say)
    given_up = [patience.has_ended(alive) for alive in (True, False, False, False, False)]
    assert given_up == [False, False, False, False, True]
    assert capfd.readouterr().err.count("no node of the cluster has a CPU") == 1


def test_what_ray_says_is_said_in_a_line():
    error = RuntimeError("Traceback:\n  File x\n\nModuleNotFoundError: No module named 'y'.\n\n")
    assert cluster_tag._reason(error) == "ModuleNotFoundError: No module named 'y'"
    assert cluster_tag._reason(ValueError()) == "ValueError"


def test_an_empty_input(job):
    Path("a.txt").write_text("")
    assert job("a.txt", "-o", "out", "--to", "parquet") == (0, "")
    assert sorted(os.listdir("out")) == ["_SUCCESS", "_manifest.json", "part-000000.parquet"]
    assert pq.read_table("out").num_rows == 0
