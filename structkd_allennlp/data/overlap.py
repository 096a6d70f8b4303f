"""Sentences that are in two corpora, such as those to train on and those to test on."""

import hashlib
import math
import os
from itertools import product
from typing import AbstractSet, Dict, Iterable, List, Sequence, Set, Tuple

from structkd_allennlp.data.corpus_paths import CorpusFile, Part, split_parts

# Folds that only repeat after more residues than this are taken to overlap unless they are equal
# and opposite, which is what they do in practice.
_MOST_RESIDUES = 1_000_000


def overlapping_files(
    one: Sequence[CorpusFile], other: Sequence[CorpusFile]
) -> List[Tuple[str, str]]:
    """
    The pairs of paths that name sentences of the same file in common, whatever is in it: the file
    itself in both, or folds of it that are not disjoint. `1of12` lies in `1of3`, for example.
    """
    pairs = []
    by_file: Dict[str, List[Tuple[str, List[Part]]]] = {}
    for file in other:
        path, parts = split_parts(file.path)
        by_file.setdefault(os.path.realpath(path), []).append((file.path, parts))
    for file in one:
        path, parts = split_parts(file.path)
        for theirs, their_parts in by_file.get(os.path.realpath(path), []):
            if parts_overlap([*parts, *their_parts]):
                pairs.append((file.path, theirs))
    return pairs


def parts_overlap(parts: Sequence[Part]) -> bool:
    """Whether a sentence could be in all of these parts of a file."""
    period = math.lcm(*(part.folds for part in parts))
    if period > _MOST_RESIDUES:
        one_and_its_complement = any(
            a[:2] == b[:2] and a.others != b.others for a, b in product(parts, parts)
        )
        return not one_and_its_complement
    # A sentence's fold is a number modulo the number of folds.
    return any(
        all((residue % part.folds + 1 == part.fold) != part.others for part in parts)
        for residue in range(period)
    )


def digests(sentences: Iterable[Sequence[str]]) -> Set[bytes]:
    """Of the words of sentences: a set that is small in memory."""
    return {_digest(words) for words in sentences}


def count_repeated(sentences: Iterable[Sequence[str]], known: AbstractSet[bytes]) -> int:
    """How many of these sentences are among those whose `digests` are known."""
    return sum(_digest(words) in known for words in sentences)


def _digest(words: Sequence[str]) -> bytes:
    text = "\x1f".join(words).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).digest()
