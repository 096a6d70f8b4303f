"""Damage done to an archive: whether what loads is still what was archived."""

import logging
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Callable, List

import numpy
from allennlp.models.archival import Archive, archive_model, load_archive

from structkd_allennlp.common.archive_manifest import write_manifest
from structkd_allennlp.common.untrusted_archive import load_untrusted_archive

Loader = Callable[[str], Archive]


def damage_an_archive(
    archive: str, load: Loader, flips: int, cuts: int, seed: int = 0
) -> Counter[str]:
    """
    Flips one bit at a random place of the file, `flips` times, and cuts the file, `cuts` times,
    half of these near its end, each time in a fresh copy that is then loaded.

    # Parameters

    archive : `str`
        A `model.tar.gz`.
    load : `Loader`
        `as_student` or `as_teacher`.

    # Returns

    `Counter[str]`
        How often the copy was `refused`, loaded with `the same` weights, vocabulary and
        configuration, or with `other` ones. The last must not be.
    """
    generator = numpy.random.default_rng(seed)
    whole = Path(archive).read_bytes()
    expected = _contents(load(archive))
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.tar.gz")
        for trial in range(flips + cuts):
            if trial < flips:
                damaged = bytearray(whole)
                damaged[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
                copy.write_bytes(damaged)
            else:
                most = len(whole) if trial % 2 else 64
                copy.write_bytes(whole[: len(whole) - int(generator.integers(1, most + 1))])
            try:
                outcomes["the same" if _contents(load(str(copy))) == expected else "other"] += 1
            # Of AllenNLP's own unpacking, anything may come.
            except Exception:
                outcomes["refused"] += 1
    return outcomes


def as_student(archive: str) -> Archive:
    """As `allennlp evaluate` and `allennlp predict` load it."""
    return load_archive(archive)


def as_teacher(archive: str) -> Archive:
    return load_untrusted_archive(archive)


def with_manifest(archive: str, directory: Path) -> str:
    """An archive of the same model as training makes one today, in `directory`."""
    shutil.unpack_archive(archive, directory)
    os.rename(directory / "weights.th", directory / "best.th")
    write_manifest(directory)
    return archive_model(directory)


def _contents(archive: Archive) -> List[Any]:
    model = archive.model
    weights = [(name, tensor.numpy().tobytes()) for name, tensor in model.state_dict().items()]
    return [weights, dict(model.vocab._index_to_token), archive.config.as_dict(quiet=True)]


if __name__ == "__main__":
    import sys

    import structkd_allennlp.registrables  # noqa: F401

    logging.disable(logging.WARNING)
    source, number = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        student = with_manifest(source, Path(folder))
        for name, own, loader in [
            ("student, no manifest", source, as_student),
            ("student", student, as_student),
            ("teacher", source, as_teacher),
        ]:
            print(name, dict(damage_an_archive(own, loader, number, number // 3)))
