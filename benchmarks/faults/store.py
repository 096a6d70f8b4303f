"""Damage done to a target store: what a reader of it gets."""

import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import List, Tuple

import numpy
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.target_store import TargetStore

Entry = Tuple[Sentence, numpy.ndarray]


def damage_a_store(trials: int, seed: int = 0) -> Counter[str]:
    """
    Flips one bit, fills a page with noise or cuts the file, at a random place, in a copy of a store
    with 2,000 sentences, and reads all of these in a process of its own.

    # Returns

    `Counter[str]`
        How often every sentence was `unharmed`, some were `missing` (so they are computed again),
        the store was `refused` with advice, a sentence had `other scores`, or the reader `died`.
        The last two must not be.
    """
    generator = numpy.random.default_rng(seed)
    context = multiprocessing.get_context("fork")
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        whole, copy = Path(folder, "whole"), Path(folder, "copy")
        entries = _entries(generator)
        writer = context.Process(target=_write, args=(whole, entries))
        writer.start()
        writer.join()
        for trial in range(trials):
            shutil.copytree(whole, copy)
            _damage(copy / "data.mdb", trial % 3, generator)
            received, sent = context.Pipe(duplex=False)
            reader = context.Process(target=_read, args=(copy, entries, sent))
            reader.start()
            sent.close()
            try:
                outcomes[received.recv()] += 1
            except EOFError:
                outcomes["died"] += 1
            reader.join()
            shutil.rmtree(copy)
    return outcomes


def _entries(generator: numpy.random.Generator) -> List[Entry]:
    lengths = generator.integers(1, 60, 2000)
    return [
        (
            Sentence([f"{i}.{j}" for j in range(length)], "en"),
            generator.normal(0, 9, (length, 9)).astype(numpy.float32),
        )
        for i, length in enumerate(lengths)
    ]


def _write(path: Path, entries: List[Entry]) -> None:
    store = TargetStore(str(path))
    for start in range(0, len(entries), 100):
        store.put("teacher", entries[start : start + 100])


def _damage(data: Path, kind: int, generator: numpy.random.Generator) -> None:
    size = data.stat().st_size
    place = int(generator.integers(size))
    if kind == 2:
        os.truncate(data, place)
        return
    with data.open("r+b") as file:
        if kind == 1:
            file.seek(place - place % 4096)
            file.write(generator.bytes(4096))
            return
        file.seek(place)
        value = file.read(1)[0] ^ 1 << int(generator.integers(8))
        file.seek(place)
        file.write(bytes([value]))


def _read(path: Path, entries: List[Entry], sent) -> None:  # type: ignore[no-untyped-def]
    store, outcome = TargetStore(str(path)), "unharmed"
    try:
        for sentence, scores in entries:
            found = store.get("teacher", sentence, scores.shape[1])
            if found is None:
                outcome = "missing"
            elif not numpy.allclose(found, scores - scores.max(1, keepdims=True)):
                outcome = "other scores"
                break
    except ConfigurationError:
        outcome = "refused"
    sent.send(outcome)
