"""Sentences that are in two corpora, such as those to train on and those to test on."""

import hashlib
import math
import os
from itertools import combinations, product
from typing import AbstractSet, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.corpus_paths import CorpusFile, Part, split_parts
from structkd_allennlp.data.sentences import TaggedSentence

# Folds that only repeat after more residues than this are taken to overlap unless they are equal
# and opposite, which is what they do in practice.
_MOST_RESIDUES = 1_000_000


def check_folds(data: Mapping[str, Sequence[CorpusFile]]) -> None:
    """
    # Parameters

    data : `Mapping[str, Sequence[CorpusFile]]`
        By its name in messages what has to be disjoint, such as training and development data.
        Files named as text without labels may overlap with others.

    # Raises

    `ConfigurationError` where two of these name folds of one file that are not disjoint, or one
    names folds that have no sentence in common, whatever is in the file.
    """
    for name, files in data.items():
        for file in files:
            if (parts := split_parts(file.path)[1]) and not parts_overlap(parts):
                raise ConfigurationError(
                    f"{name} has no sentence: none can be in all of these folds, {file.path}. "
                    "1of10 has nothing in common with not-1of10; name another, such as 2of10."
                )
    for (name, files), (other, others) in combinations(data.items(), 2):
        for path, theirs in overlapping_files(_labelled(files), _labelled(others)):
            if split_parts(path)[1] or split_parts(theirs)[1]:
                raise ConfigurationError(
                    f"{name} and {other} have sentences in common, since these folds overlap: "
                    f"{path} and {theirs}. Use folds of the same number, such as "
                    "#not-fold=1of10#not-fold=2of10 to train, #fold=1of10 to validate and "
                    "#fold=2of10 to test."
                )


def _labelled(files: Sequence[CorpusFile]) -> List[CorpusFile]:
    return [file for file in files if not file.unlabelled]


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


def labelled_digests(sentences: Iterable[TaggedSentence]) -> Set[bytes]:
    """Of the words of the sentences with tags: a set that is small in memory."""
    return {digest_of(sentence.words) for sentence in sentences if sentence.tags is not None}


def repeated(
    sentences: Iterable[TaggedSentence], known: AbstractSet[bytes]
) -> Dict[str, Tuple[int, int]]:
    """
    By language, how many of these sentences are among those with these digests, whatever the
    language there, and how many they are in all.
    """
    counts: Dict[str, Tuple[int, int]] = {}
    for sentence in sentences:
        language = str(sentence.language)
        count, of = counts.get(language, (0, 0))
        counts[language] = count + (digest_of(sentence.words) in known), of + 1
    return counts


def digest_of(words: Sequence[str]) -> bytes:
    """Twelve bytes, which two sentences share only if they have the same words."""
    text = "\x1f".join(words).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).digest()
