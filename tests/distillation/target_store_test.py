"""The store: what comes out is what went in, or nothing, whoever else is at it or dies."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
import zlib

import hypothesis.strategies as st
import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from hypothesis import given

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation import target_store
from structkd_allennlp.distillation.store_files import open_store
from structkd_allennlp.distillation.target_store import Head, TargetStore
from structkd_allennlp.modules.tagger_chain import Potentials

WORDS = ["Ada", "met", "Bob"]
SENTENCE = Sentence(WORDS, "en")
SCORES = numpy.random.default_rng(0).normal(0, 30, (3, 5)).astype(numpy.float32)


def softmax(scores):
    scores = numpy.exp(scores - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("half", [False, True])
def test_what_goes_in_comes_out(tmp_path, half):
    store = TargetStore(str(tmp_path / "s"), half_precision=half)
    assert store.get("t", SENTENCE, 5) is None
    store.put("t", [(SENTENCE, SCORES), (Sentence(["x"], None), SCORES[:1])])
    found = store.get("t", SENTENCE, 5)
    assert found.dtype == numpy.float32
    numpy.testing.assert_allclose(softmax(found), softmax(SCORES), atol=5e-3 if half else 1e-6)
    assert store.get("t", Sentence(["x"], None), 5).shape == (1, 5)
    # Another teacher, language or sentence is another entry.
    assert store.get("u", SENTENCE, 5) is None
    assert store.get("t", Sentence(WORDS, "de"), 5) is None
    assert store.get("t", Sentence(["Ada met", "Bob"], "en"), 5) is None
    assert store.get("t", SENTENCE, 4) is None
    assert store.size() > 0


def test_precision_that_is_too_low_counts_as_missing(tmp_path):
    half, full = (TargetStore(str(tmp_path / "s"), half_precision=x) for x in (True, False))
    half.put("t", [(SENTENCE, SCORES)])
    assert half.get("t", SENTENCE, 5) is not None
    assert full.get("t", SENTENCE, 5) is None
    full.put("t", [(SENTENCE, SCORES)])
    assert half.get("t", SENTENCE, 5) is not None


def test_impossible_labels_survive(tmp_path):
    scores = SCORES.copy()
    scores[:, 0] = -numpy.inf
    for half in (True, False):
        store = TargetStore(str(tmp_path / str(half)), half_precision=half)
        store.put("t", [(SENTENCE, scores)])
        assert numpy.isneginf(store.get("t", SENTENCE, 5)[:, 0]).all()


def test_head(tmp_path):
    store = TargetStore(str(tmp_path / "s"))
    assert store.head("t") is None
    transitions = torch.tensor([[0.1, -torch.inf], [1e-20, 3.0]])
    head = Head(["O", "B-É"], "BIO", Potentials(transitions, torch.rand(2), torch.rand(2)))
    store.put_head("t", head)
    found = store.head("t")
    assert (found.labels, found.encoding) == (head.labels, "BIO")
    for mine, theirs in zip(found.potentials, head.potentials, strict=True):
        assert torch.equal(mine, theirs)


def put_as_earlier_versions(store, sentence, payload):
    """An entry by itself, in the main database."""
    address = target_store._address("t", sentence.language, sentence.words)
    frame = target_store._FRAME.pack(target_store._MAGIC, zlib.crc32(payload))
    with store._files.environment.begin(write=True) as transaction:
        transaction.put(address, frame + payload)


def payload_of_earlier_versions(scores, kind="f"):
    shape = target_store._SHAPE.pack(kind.encode(), *scores.shape)
    return shape + scores.astype(f"<{kind}4" if kind == "f" else "<f2").tobytes()


@pytest.mark.parametrize("kind", ["f", "e"])
def test_entries_of_earlier_versions_are_used(tmp_path, kind):
    store = TargetStore(str(tmp_path / "s"))
    half = TargetStore(str(tmp_path / "s"), precision="float16")
    relative = SCORES - SCORES.max(1, keepdims=True)
    put_as_earlier_versions(store, SENTENCE, payload_of_earlier_versions(relative, kind))
    numpy.testing.assert_allclose(half.get("t", SENTENCE, 5), relative, rtol=1e-3)
    found = store.get("t", SENTENCE, 5)
    assert found is None if kind == "e" else (found == relative).all()
    store.put("t", [(SENTENCE, SCORES)])
    assert (store.get("t", SENTENCE, 5) == relative).all()


DAMAGE = {
    "a flipped bit": lambda value: value[:-1] + bytes([value[-1] ^ 1]),
    "cut off": lambda value: value[:-3],
    "empty": lambda _: b"",
    "foreign": lambda _: b"something of another program",
    "a longer one": lambda value: value + b"\0" * 4,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("where", ["block", "index", "earlier"])
def test_damaged_entries_count_as_missing(tmp_path, where, damage, caplog):
    store = TargetStore(str(tmp_path / "s"))
    address = target_store._address("t", "en", WORDS)
    key, database = address, None
    if where == "earlier":
        put_as_earlier_versions(store, SENTENCE, payload_of_earlier_versions(SCORES))
    else:
        store.put("t", [(Sentence(["x"], "en"), SCORES[:1]), (SENTENCE, SCORES)])
        key = address[: target_store._KEY_SIZE] if where == "index" else b"\0\0\0\0"
        database = store._files.index if where == "index" else store._files.blocks
    assert store.get("t", SENTENCE, 5) is not None
    with store._files.environment.begin(write=True) as transaction:
        value = DAMAGE[damage](transaction.get(key, db=database))
        transaction.put(key, value, db=database)
    if (where, damage) == ("block", "a longer one"):
        # Others' records may come after.
        assert store.get("t", SENTENCE, 5) is not None
        return
    assert store.get("t", SENTENCE, 5) is None
    assert "damaged" in caplog.text
    store.put("t", [(SENTENCE, SCORES)])
    assert store.get("t", SENTENCE, 5) is not None


def test_an_index_that_leads_to_another_entry_leads_nowhere(tmp_path):
    store = TargetStore(str(tmp_path / "s"))
    other = Sentence(["Bob", "met", "Ada"], "en")
    store.put("t", [(SENTENCE, SCORES), (other, SCORES)])
    keys = [target_store._address("t", "en", x.words)[:12] for x in (SENTENCE, other)]
    with store._files.environment.begin(write=True) as transaction:
        place = transaction.get(keys[1], db=store._files.index)
        transaction.put(keys[0], place, db=store._files.index)
    assert store.get("t", SENTENCE, 5) is None
    assert store.get("t", other, 5) is not None


def test_a_well_formed_entry_of_another_shape_counts_as_missing(tmp_path):
    """As after a change of format that forgets to change the magic number."""
    store = TargetStore(str(tmp_path / "s"))
    put_as_earlier_versions(store, SENTENCE, b"f")
    assert store.get("t", SENTENCE, 5) is None
    put_as_earlier_versions(store, SENTENCE, target_store._SHAPE.pack(b"f", 3, 5))
    assert store.get("t", SENTENCE, 5) is None
    put_as_earlier_versions(store, Sentence([], "head"), b"{}")
    assert store.head("t") is None


def test_a_store_for_each_machine(tmp_path, monkeypatch):
    """Its path may say so, where several see the same files."""
    for host in ("a", "b"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        store = TargetStore(f"{tmp_path}/{{host}}/targets")
        assert store.get("t", SENTENCE, 5) is None
        store.put("t", [(SENTENCE, SCORES)])
        assert store.size() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_there_is_not_stored_again(tmp_path):
    """As where two runs begin at the same time."""
    store = TargetStore(str(tmp_path / "s"))
    scores = [(Sentence([str(i)] * 30, "en"), SCORES[[0] * 30]) for i in range(100)]
    store.put("t", scores)
    size, entries = store.size(), dict(store.entries())
    assert len(entries) == 100
    for again in (store, TargetStore(str(tmp_path / "s"), precision="float16", top=1)):
        again.put("t", scores)
        assert store.size() == size
        assert dict(store.entries()) == entries


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float16", 2)])
def test_a_store_takes_little_more_than_its_scores(tmp_path, precision, size):
    generator = numpy.random.default_rng(0)
    store, tokens = TargetStore(str(tmp_path / "s"), precision), 0
    for i in range(50):
        lengths = generator.integers(5, 41, 180)
        scores = [
            (Sentence([f"{i}.{j}"] * n, "en"), generator.normal(size=(n, 17)))
            for j, n in enumerate(lengths.tolist())
        ]
        store.put("t", [(x, y.astype(numpy.float32)) for x, y in scores])
        tokens += lengths.sum()
    assert store.size() / tokens < 1.2 * 17 * size


@pytest.mark.parametrize("kind", ["a file", "damaged"])
def test_directories_that_are_no_store(tmp_path, kind):
    path = tmp_path / "s"
    if kind == "a file":
        path.write_text("x")
    else:
        path.mkdir()
        (path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError, match=r"cannot be used as a target store.*/s|/s cannot"):
        TargetStore(str(path)).get("t", SENTENCE, 5)


@pytest.mark.parametrize("bad", [numpy.nan, numpy.inf, -numpy.inf])
def test_scores_that_are_no_distribution_are_neither_stored_nor_used(tmp_path, bad):
    store = TargetStore(str(tmp_path / "s"))
    scores = SCORES.copy()
    scores[1] = bad
    with pytest.raises(ConfigurationError, match="to the en sentence 'Ada met Bob'"):
        store.put("t", [(Sentence(["x"], "en"), SCORES[:1]), (SENTENCE, scores)])
    assert store.get("t", Sentence(["x"], "en"), 5) is None
    # As an earlier version would have left it.
    put_as_earlier_versions(store, SENTENCE, payload_of_earlier_versions(scores))
    assert store.get("t", SENTENCE, 5) is None


def test_half_precision_rules_nothing_out(tmp_path):
    store = TargetStore(str(tmp_path / "s"), half_precision=True)
    store.put("t", [(Sentence(["x"], "en"), numpy.array([[0, -1e6, -numpy.inf]], numpy.float32))])
    assert store.get("t", Sentence(["x"], "en"), 3).tolist() == [[0, -65504, -numpy.inf]]


@given(
    st.lists(st.text(max_size=3), max_size=4).map(tuple),
    st.lists(st.text("a\x1e\x1f0", max_size=3), max_size=4).map(tuple),
    st.lists(st.text("a\x1e\x1f1", max_size=3), max_size=4).map(tuple),
)
def test_no_two_sentences_share_a_key(one, two, three):
    sentences = (one, two, three)
    keys = {target_store._address("t", "en", words) for words in sentences}
    assert len(keys) == len(set(sentences))


def test_keys_of_earlier_stores_are_found():
    """Entries are addressed by teacher, language and words, joined by a unit separator."""
    expected = hashlib.blake2b(b"t\x1fen\x1fAda\x1fmet\x1fBob", digest_size=20).digest()
    assert target_store._address("t", "en", WORDS) == expected


def filled(path):
    store = TargetStore(str(path))
    for i in range(200):
        store.put("t", [(Sentence([*WORDS, str(i)] * 9, "en"), SCORES[[0, 1, 2, 0] * 9])])
    store.put("t", [(SENTENCE, SCORES)])
    return store


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.99])
def test_a_store_cut_short_is_refused(tmp_path, share):
    filled(tmp_path / "s")
    # This process has the whole one mapped, so it is a copy that loses its end.
    shutil.copytree(tmp_path / "s", tmp_path / "cut")
    data = tmp_path / "cut" / "data.mdb"
    os.truncate(data, int(data.stat().st_size * share))
    with_store = TargetStore(str(tmp_path / "cut"))
    if share == 0:
        assert with_store.get("t", SENTENCE, 5) is None
        return
    with pytest.raises(ConfigurationError, match=r"damaged \(\d+ bytes.*delete the directory"):
        with_store.get("t", SENTENCE, 5)


def test_damaged_pages_are_missing_entries_or_an_error_that_says_what_to_do(tmp_path):
    whole = filled(tmp_path / "s")
    expected = whole.get("t", SENTENCE, 5)
    generator = numpy.random.default_rng(0)
    size = (tmp_path / "s" / "data.mdb").stat().st_size
    outcomes = set()
    for i in range(40):
        path = tmp_path / f"s{i}"
        shutil.copytree(tmp_path / "s", path)
        data = path / "data.mdb"
        with data.open("r+b") as file:
            file.seek(int(generator.integers(2, size // 4096)) * 4096)
            file.write(generator.bytes(4096))
        try:
            found = TargetStore(str(path)).get("t", SENTENCE, 5)
        except ConfigurationError as error:
            outcomes.add(error.message.rpartition(": ")[2])
        else:
            assert found is None or numpy.array_equal(found, expected)
            outcomes.add("found" if found is not None else "missing")
    assert "found" in outcomes
    assert outcomes <= {
        "found",
        "missing",
        "delete the directory; its targets are computed again",
    }


def read_and_die(path):
    with open_store(path).environment.begin():
        os.kill(os.getpid(), signal.SIGKILL)


def test_readers_that_were_killed_block_nobody(tmp_path):
    """LMDB's own limit is 126, and it keeps those that die."""
    path = str(tmp_path / "s")
    context = multiprocessing.get_context("fork")
    # This process must not have opened what its children open.
    for target in [filled, *[read_and_die] * 130]:
        child = context.Process(target=target, args=(path,))
        child.start()
        child.join()
        assert child.exitcode == (0 if target is filled else -signal.SIGKILL)
    assert TargetStore(path).get("t", SENTENCE, 5) is not None


def test_a_complete_store_that_cannot_be_written_to_is_read(tmp_path, monkeypatch):
    path = tmp_path / "s"
    child = multiprocessing.get_context("fork").Process(target=filled, args=(path,))
    child.start()
    child.join()
    (path / "lock.mdb").unlink()
    # No permission keeps root from writing, and tests may run as root.
    monkeypatch.setattr(os, "access", lambda *_: False)
    store = TargetStore(str(path))
    assert store.get("t", SENTENCE, 5) is not None
    assert not (path / "lock.mdb").exists()
    with pytest.raises(ConfigurationError, match="cannot write to the target store"):
        store.put("t", [(SENTENCE, SCORES)])


def test_nothing_is_opened_before_it_is_used(tmp_path):
    TargetStore(str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_a_process_may_use_more_stores_than_fit_into_its_addresses(tmp_path):
    stores = [TargetStore(str(tmp_path / str(i))) for i in range(130)]
    for store in stores:
        store.put("t", [(SENTENCE, SCORES)])
    first = stores[0].entries()
    entry = next(first)
    # Meanwhile the others take turns, and the first, in use, stays open.
    for store in stores[1:]:
        assert store.get("t", SENTENCE, 5) is not None
        assert list(store.entries()) == [entry]
    assert list(first) == []
    assert stores[0].get("t", SENTENCE, 5) is not None


def numbered(i, j):
    return Sentence([str(i), str(j), "", ""], "en")


def write_forever(directory, name):
    store, i = TargetStore(directory), 0
    while True:
        scores = numpy.full((4, 3), i, numpy.float32) + numpy.arange(3, dtype=numpy.float32)
        store.put(name, [(numbered(i, j), scores) for j in range(20)])
        i += 1


def test_killed_writers_leave_whole_transactions(tmp_path):
    """Two processes write to one store at once and are killed in the middle of it."""
    directory = str(tmp_path / "s")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_forever, args=(directory, name)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    store = TargetStore(directory)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not all(
        store.get(name, numbered(3, 0), 3) is not None for name in ("a", "b")
    ):
        time.sleep(0.02)
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    for name in ("a", "b"):
        i = 0
        while store.get(name, numbered(i, 0), 3) is not None:
            found = [store.get(name, numbered(i, j), 3) for j in range(20)]
            assert all(one is not None for one in found), "a transaction is half there"
            i += 1
        assert i >= 4
    store.put("c", [(SENTENCE, SCORES)])
    assert store.get("c", SENTENCE, 5) is not None
