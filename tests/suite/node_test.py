"""What a step takes with it to a node that sees no directories of ours, and what comes back."""

import io
import os
import subprocess
import sys

import pytest
from allennlp.common.checks import ConfigurationError
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.common import packing
from structkd_allennlp.common.packing import packed, unpack
from structkd_allennlp.suite.files import revisions_file
from structkd_allennlp.suite.inputs import inputs_of
from structkd_allennlp.suite.node import TOKEN_NAME, Place, moved
from structkd_allennlp.suite.packing import PackedRun


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory, with these files."""
    for name in (
        "corpus/en/train.txt",
        "corpus/es/train.txt",
        "corpus/pt/train.txt",
        "corpus/test.txt",
        "dev#1.txt",
        "encoder/config.json",
        "encoder/deep/vocab.txt",
        "own/__init__.py",
        "plugin.py",
        ".allennlp_plugins",
        "out/teachers/en/model.tar.gz",
        "out/students/a/model.tar.gz",
        "out/targets/data.mdb",
        "../elsewhere.txt",
    ):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "project/.allennlp_plugins").write_text("plugin.inner\nstructkd_allennlp\n")
    (tmp_path / "project/structkd_allennlp").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def job(out, **model):
    reader = {"type": "multilingual", "languages": ["en", "es"]}
    config = {
        "dataset_reader": reader,
        "train_data_path": "corpus/{language}/train.txt#not-fold=1of2",
        "validation_data_path": {"en": "dev#1.txt", "es": "es=corpus/es/train.txt"},
        "model": {"type": "corpus", "regexes": [["*", {}], "", "."], "number": 1, **model},
    }
    return {
        "directory": f"{out}/students/a",
        "tests": {"en": "corpus/test.txt"},
        "config": config,
        "include_package": ["own.models", "structkd_allennlp", "allennlp"],
    }


@pytest.mark.parametrize("absolute", [False, True])
def test_all_that_a_job_reads(project, absolute):
    out = project / "out" if absolute else project.relative_to(project) / "out"
    model = {
        "teachers": {"en": f"{out}/teachers/en/model.tar.gz"},
        "target_store": {"directory": f"{out}/targets"},
        "encoder": "./encoder",
        "vocabulary": "encoder/deep/vocab.txt",
        "other": str(project / "encoder"),
    }
    values = job(out, type="x", **model)
    assert {name: str(path) for name, path in inputs_of(values, out).items()} == {
        ".suite/teachers/en/model.tar.gz": f"{out}/teachers/en/model.tar.gz",
        "corpus/en/train.txt": "corpus/en/train.txt",
        "corpus/es/train.txt": "corpus/es/train.txt",
        "corpus/test.txt": "corpus/test.txt",
        "dev#1.txt": "dev#1.txt",
        "encoder": "encoder",
        "own": "own",
        "plugin.py": "plugin.py",
        ".allennlp_plugins": ".allennlp_plugins",
    }
    # A directory that is meant by chance comes too, and all within it at once.
    assert "corpus/test.txt" not in inputs_of(job(out), out)
    with pytest.raises(ConfigurationError, match=r"\.\./elsewhere\.txt is not in the working"):
        inputs_of(job(out, text="../elsewhere.txt"), out)


def test_paths_that_move():
    value = {"a": ["out/s", "out/s/x/y"], "out/s": ("out/sx", "an out/s"), "n": [1, None, True]}
    assert moved(value, "out/s", ".suite") == {
        "a": [".suite", ".suite/x/y"],
        "out/s": ["out/sx", "an out/s"],
        "n": [1, None, True],
    }


trees = st.dictionaries(st.text("ab", min_size=1, max_size=3), st.binary(max_size=50))


@settings(deadline=None, max_examples=20)
@given(files=trees, block=st.integers(1, 3000))
def test_files_arrive_as_they_were(tmp_path_factory, files, block):
    there, here = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("here")
    (there / "real").mkdir()
    (there / "alone").write_bytes(b"alone")
    for name, content in files.items():
        (there / "real" / name).write_bytes(content)
    # Links are nothing to a machine that lacks what they point to.
    (there / "link").symlink_to(there / "real")
    (there / "real/link").symlink_to(there / "alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_BLOCK", block)
        for name in ("link", "alone"):
            blocks = list(packed(there / name))
            assert all(len(x) <= block for x in blocks)
            unpack(io.BytesIO(b"".join(blocks)), here / "x" / name)
    found = {path.name: path.read_bytes() for path in (here / "x/link").iterdir()}
    assert found == {**files, "link": b"alone"}
    assert not any(path.is_symlink() for path in (here / "x/link").iterdir())
    assert (here / "x/alone").read_bytes() == b"alone"
    # What is there stays, and nothing else does.
    for name in ("link", "alone"):
        unpack(io.BytesIO(b"".join(packed(there / "alone"))), here / "x" / name)
    assert sorted(os.listdir(here / "x")) == ["alone", "link"]
    assert (here / "x/link").is_dir()


def test_half_of_a_file_never_arrives(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    content = b"".join(packed(tmp_path / "file"))
    with pytest.raises(Exception, match=r"unexpected end of data|truncated"):
        unpack(io.BytesIO(content[:5000]), tmp_path / "there/file")
    assert os.listdir(tmp_path / "there") == []


def test_a_run_comes_home(tmp_path):
    there, here = tmp_path / "there/seed1", tmp_path / "here/seed1"
    (there / "log").mkdir(parents=True)
    for name in ("model.tar.gz", "best.th", "model_state_e1_b0.th", "log/events"):
        (there / name).write_text(name)
    here.mkdir(parents=True)
    (here / "old").touch()
    PackedRun.of(there).unpack(here)
    assert sorted(os.listdir(here)) == ["log", "model.tar.gz"]
    assert (here / "log/events").read_text() == "log/events"
    assert not revisions_file(here).exists()
    revisions_file(there).write_text("[1]")
    PackedRun.of(there).unpack(here)
    assert revisions_file(here).read_text() == "[1]"


def test_who_sees_the_directory(tmp_path):
    (tmp_path / "out").mkdir()
    place = Place(str(tmp_path), "out", "token")
    assert not place.is_here()
    (tmp_path / "out" / TOKEN_NAME).write_text("other")
    assert not place.is_here()
    (tmp_path / "out" / TOKEN_NAME).write_text("token")
    assert place.is_here()
    # The directory of the suite is there, but not what it reads.
    assert not Place(str(tmp_path / "gone"), str(tmp_path / "out"), "token").is_here()


def test_a_node_imports_little():
    """Its process starts workers, and has no use for what these take seconds to import."""
    heavy = "{'allennlp', 'torch'}"
    code = f"import sys, structkd_allennlp.suite.node; print(sys.modules.keys() & {heavy})"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert printed.stdout == b"set()\n"
