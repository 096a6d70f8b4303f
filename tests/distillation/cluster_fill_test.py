"""What filling on a cluster rests on; with a cluster it is in tests/cluster/targets_test.py."""

import itertools
import shutil
import threading

import hypothesis.strategies as st
import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from hypothesis import given

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation import cluster_fill
from structkd_allennlp.distillation import fill as filling
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.file_teacher import FileSource
from structkd_allennlp.distillation.fill import Missing, score_missing
from structkd_allennlp.distillation.scorer import Scorer, files_of
from structkd_allennlp.distillation.stored_scores import Encoding
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import ArchiveSource, Teacher
from tests.distillation.taggers import LABELS, SENTENCES, archived


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(1, 20), st.data())
def test_what_is_left_falls_into_the_same_batches(lengths, most, data):
    """So it does not matter for the scores where a run was interrupted."""
    items = list(enumerate(lengths))
    batches = list(by_length(items, lambda item: item[1], most))
    left = [batch for batch in batches if data.draw(st.booleans())]
    rest = [item for item in items if any(item in batch for batch in left)]
    assert list(by_length(rest, lambda item: item[1], most)) == left


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(filling, "_TOKENS_A_BATCH", 12)
    monkeypatch.setattr(filling, "_SENTENCES_A_CHUNK", 30)
    monkeypatch.setattr(filling, "_BATCHES_A_PART", 2)


def many(count):
    return [Sentence([f"w{i % 55}"] * (1 + i % 5), "en") for i in range(count)]


def test_what_is_under_way_is_not_scored_twice(tmp_path, small):
    """However late it is stored, the parts are the same."""
    archive, _ = archived(tmp_path / "t", LABELS)
    parts = {}
    for most in (1, 4, 100):
        archives = Archives(archive, TargetStore(str(tmp_path / str(most))))
        missing, parts[most], waiting = Missing(archives), [], []
        for part in missing.parts(iter(many(80)), lambda _: None):
            parts[most].append(part.batches)
            waiting.append(part)
            if len(waiting) == most:
                done = waiting.pop(0)
                for batch in done.batches:
                    done.teacher.computed(batch, torch.device("cpu"))
                missing.stored(done)
    assert len(parts[1]) > 5
    assert all(len(batches) <= 2 for batches in parts[1])
    assert parts[1] == parts[4] == parts[100]
    sent = [tuple(one.words) for batches in parts[1] for batch in batches for one in batch]
    assert len(sent) == len(set(sent)) == len({tuple(one.words) for one in many(80)})


@pytest.mark.parametrize("encoding", [Encoding(), Encoding("float16", 2)])
def test_a_worker_makes_the_entries_that_one_process_stores(tmp_path, encoding):
    archive, _ = archived(tmp_path / "t", LABELS)
    teacher, worker = Teacher(ArchiveSource(archive)), Scorer("not there", False, [], encoding)
    store = TargetStore(str(tmp_path / "s"), *encoding)
    score_missing(Archives(archive, store), SENTENCES, torch.device("cpu"))
    worker.ready()
    assert worker.score(teacher.digest, [SENTENCES]) is None
    # Sorted, as batches are.
    batch = sorted(SENTENCES, key=lambda one: len(one.words))
    entries = worker.score(teacher.digest, [batch], teacher.source)
    assert {address[:12]: record for address, record in entries} == dict(store.entries())
    # Now it knows the teacher.
    assert worker.score(teacher.digest, [batch[:1], batch[1:]]) is not None


@pytest.mark.parametrize("directory", [False, True])
def test_a_worker_gets_what_it_does_not_see(tmp_path, directory):
    archive, _ = archived(tmp_path / "t", LABELS)
    place = tmp_path / "seen by the driver alone"
    if directory:
        shutil.copytree(tmp_path / "t", place)
    else:
        shutil.copy(archive, place)
    source, other = ArchiveSource(str(place)), Scorer("not there", False, [], Encoding())
    digest, files = source.digest(), files_of(source)
    shutil.rmtree(place) if directory else place.unlink()
    assert other.score(digest, [SENTENCES], source) is None
    assert len(other.score(digest, [SENTENCES], source, files)) == 2
    with pytest.raises(ConfigurationError, match=f"teacher {place} is another one on a worker"):
        other.score("another", [SENTENCES], source, files)
    with pytest.raises(ConfigurationError, match="another one on a worker"):
        other.score("another", [SENTENCES], source, files_of(source))


def test_a_source_elsewhere_is_not_loaded(tmp_path):
    archive, _ = archived(tmp_path / "t", LABELS)
    source = ArchiveSource(archive)
    source.head()
    assert source.at(archive)._parts is None
    assert source._parts is not None
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"words": ["Ada"], "tags": ["B-PER"]}\n{"words": ["x"], "tags": ["O"]}\n')
    teacher = FileSource(str(lines), label_encoding="BIO")
    teacher.head()
    moved = teacher.at(str(lines.rename(tmp_path / "moved.jsonl")))
    assert moved._made is None
    assert moved.digest() == FileSource(moved.name, label_encoding="BIO").digest()
    scores = moved.emissions([Sentence(["Ada"], "en")], torch.device("cpu"))
    numpy.testing.assert_array_equal(
        scores, teacher.at(moved.name).emissions([Sentence(["Ada"], "en")], torch.device("cpu"))
    )


def test_no_more_is_read_ahead_than_is_to_be(monkeypatch):
    monkeypatch.setattr(cluster_fill, "_PARTS_AHEAD", 3)
    taken = []

    def parts():
        for i in itertools.count():
            taken.append(i)
            yield i

    ahead = cluster_fill._ahead(parts())
    found = []
    while len(found) < 10:
        found += [part for part in [next(ahead)] if part is not None]
        assert len(taken) <= len(found) + 5
    assert found == list(range(10))
    threads = threading.active_count()
    ahead.close()
    assert threading.active_count() == threads - 1


def test_errors_of_reading_are_those_of_the_run():
    def parts():
        yield 1
        raise ConfigurationError("line 7")

    ahead = (part for part in cluster_fill._ahead(parts()) if part is not None)
    assert next(ahead) == 1
    with pytest.raises(ConfigurationError, match="line 7"):
        next(ahead)
    assert [x for x in cluster_fill._ahead(iter([1, 2])) if x is not None] == [1, 2]
