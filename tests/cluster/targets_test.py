"""`allennlp distillation-targets --executor ray` on two nodes, where one or the driver may die."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.cluster import cluster
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation import cluster_fill, fill
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.cluster_fill import score_missing_on_cluster
from structkd_allennlp.distillation.fill import fill_target_store
from structkd_allennlp.distillation.target_store import TargetStore
from tests.distillation.taggers import LABELS, archived

pytestmark = pytest.mark.cluster

CONFIG = str(Path("training_configs/posterior_kd.jsonnet").resolve())
TOKENS_A_BATCH = 400

# The command, with small batches.
DRIVER = """
import sys
from allennlp.commands import main
from structkd_allennlp.distillation import fill
fill._TOKENS_A_BATCH = int(sys.argv.pop(1))
fill._SENTENCES_A_CHUNK = 1000
main()
"""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(fill, "_TOKENS_A_BATCH", TOKENS_A_BATCH)
    monkeypatch.setattr(fill, "_SENTENCES_A_CHUNK", 1000)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As each of the workers has. Several add up in another order, and the last digits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Sentences of two languages, some of them twice and far apart."""
    paths = {}
    for language in ("en", "es"):
        paths[language] = tmp_path_factory.mktemp("text") / f"{language}.txt"
        lines = [
            " ".join(f"{word}{(i % 2000) * word % 97}" for word in range(1 + i * 7 % 23))
            for i in range(3000)
        ]
        paths[language].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {language: str(path) for language, path in paths.items()}


def overrides(store, text, **settings):
    return {
        "train_data_path": [{"unlabelled": text}],
        "model.target_store": {"directory": str(store), **settings},
    }


def entries(directory):
    found = dict(TargetStore(str(directory)).entries())
    assert len(found) > 3000
    return found


@pytest.fixture(scope="module")
def expected(text, tmp_path_factory):
    """What this machine alone makes of it."""
    directory = tmp_path_factory.mktemp("local") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill, "_TOKENS_A_BATCH", TOKENS_A_BATCH)
        patch.setattr(fill, "_SENTENCES_A_CHUNK", 1000)
        fill_target_store(Params.from_file(CONFIG, overrides(directory, text)))
    return entries(directory)


def command(nodes, store, text, *options):
    settings = json.dumps(overrides(store, text))
    return [
        *(sys.executable, "-c", DRIVER, str(TOKENS_A_BATCH), "distillation-targets", CONFIG),
        *("--overrides", settings, "--executor", "ray", "--address", nodes.address, *options),
    ]


def on_cluster(nodes, store, text, **settings):
    params = Params.from_file(CONFIG, overrides(store, text, **settings))
    with cluster(nodes.address):
        fill_target_store(params, score=score_missing_on_cluster)


def stored(directory):
    return len(dict(TargetStore(str(directory)).entries()))


def wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_store_is_that_of_one_machine(nodes, text, expected, tmp_path):
    done = subprocess.run(command(nodes, tmp_path / "s", text, "--workers", "2"))
    assert done.returncode == 0
    assert entries(tmp_path / "s") == expected


def test_a_node_that_dies(nodes, text, expected, tmp_path, caplog):
    lost = []

    def kill():
        # Both have parts in hand by then.
        wait_for(lambda: (tmp_path / "s" / "data.mdb").exists() and stored(tmp_path / "s") > 600)
        lost.append(stored(tmp_path / "s"))
        nodes.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    on_cluster(nodes, tmp_path / "s", text)
    killer.join()
    assert lost[0] < len(expected)
    assert "a worker is lost" in caplog.text
    assert entries(tmp_path / "s") == expected


def test_going_on_after_the_driver_was_killed(nodes, text, expected, tmp_path, monkeypatch):
    process = subprocess.Popen(command(nodes, tmp_path / "s", text))
    wait_for(lambda: (tmp_path / "s" / "data.mdb").exists() and stored(tmp_path / "s") > 300)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = dict(TargetStore(str(tmp_path / "s")).entries())
    assert 300 < len(before) < len(expected)
    sent = []
    original = TargetStore.add

    def adding(self, new):
        new = list(new)
        sent.extend(address[:12] for address, _ in new)
        original(self, new)

    monkeypatch.setattr(TargetStore, "add", adding)
    on_cluster(nodes, tmp_path / "s", text)
    assert entries(tmp_path / "s") == expected
    # What was done has not been done again.
    assert not set(sent) & set(before)
    assert len(sent) == len(set(sent)) == len(expected) - len(before)


def test_workers_that_do_not_see_the_teachers(nodes, text, expected, tmp_path, monkeypatch):
    """They get its files, and need neither the text nor the store."""
    seen = tmp_path / "seen by the driver alone"
    seen.mkdir()
    for language in ("en", "es"):
        shutil.copy(f"fixtures/teachers/{language}.tar.gz", seen)
    monkeypatch.chdir(seen)
    monkeypatch.setattr(cluster_fill.os, "getcwd", lambda: str(tmp_path / "not there"))
    teachers = {language: f"{language}.tar.gz" for language in ("en", "es")}
    params = Params.from_file(
        CONFIG, {**overrides(tmp_path / "s", text), "model.teachers": teachers}
    )
    with cluster(nodes.address):
        fill_target_store(params, score=score_missing_on_cluster)
    assert entries(tmp_path / "s") == expected


def test_few_labels_and_few_parts_in_hand(nodes, text, tmp_path, monkeypatch):
    """`top` needs the teachers' transitions; what is read ahead is bounded."""
    local = tmp_path / "local"
    settings = {"precision": "float16", "top": 3}
    fill_target_store(Params.from_file(CONFIG, overrides(local, text, **settings)))
    monkeypatch.setattr(cluster_fill, "_PARTS_AHEAD", 3)
    most = []
    original = fill.Missing.stored

    def watching(self, part):
        most.append(len(self._under_way))
        original(self, part)

    monkeypatch.setattr(fill.Missing, "stored", watching)
    on_cluster(nodes, tmp_path / "s", text, **settings)
    assert entries(tmp_path / "s") == entries(local)
    # 3 that wait, one that waits to wait, 2 in each of 2 hands, one that has just been taken out.
    most_sentences = 9 * fill._BATCHES_A_PART * TOKENS_A_BATCH
    assert max(most) < most_sentences
    assert max(most) < 4000


def test_what_is_wrong_is_said(nodes, text, tmp_path):
    archive, _ = archived(tmp_path / "t", LABELS)
    store = TargetStore(str(tmp_path / "s"))
    archives, gone = Archives(archive, store), Archives(archive, store)
    archives.check(["en"])
    gone.check(["en"])
    with cluster(nodes.address):
        with pytest.raises(ConfigurationError, match="no teacher for language"):
            score_missing_on_cluster(
                Archives({"en": archive}, store), [Sentence(["Ada"], "de")], workers=1
            )
        with pytest.raises(Exception, match="no_such_package"):
            score_missing_on_cluster(
                archives, [Sentence(["Ada"], "en")], workers=1, packages=["no_such_package"]
            )
        os.unlink(archive)
        with pytest.raises(ConfigurationError, match=rf"{archive} is another one on a worker"):
            score_missing_on_cluster(gone, [Sentence(["Ada"], "en")], workers=1)
