"""Damage done to an archive: whether what loads is still what was archived."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Callable, List

import numpy
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import Archive, load_archive

import structkd_allennlp.registrables  # noqa: F401
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
        configuration, or with `other` ones. The last must not be. What loads the same differs in
        the file's own name or time, which nobody reads, or in the way to compress the same bytes.
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
            except ConfigurationError:
                outcomes["refused"] += 1
    return outcomes


def as_student(archive: str) -> Archive:
    """As `allennlp evaluate` and `allennlp predict` load it."""
    return load_archive(archive)


def as_teacher(archive: str) -> Archive:
    return load_untrusted_archive(archive)


def _contents(archive: Archive) -> List[Any]:
    model = archive.model
    weights = [(name, tensor.numpy().tobytes()) for name, tensor in model.state_dict().items()]
    return [weights, dict(model.vocab._index_to_token), archive.config.as_dict(quiet=True)]
