"""Where in the windows of a sentence the sub-words of its words are."""

from itertools import groupby
from typing import List, NamedTuple, Optional, Sequence


class Place(NamedTuple):
    """
    The sub-words of a word.

    # Parameters

    window : `int`
    start, end : `int`
        From its first sub-word to after its last one in this window, counted from the window's
        start, special tokens included.
    """

    window: int
    start: int
    end: int


def places(windows: Sequence[Sequence[Optional[int]]], words: int) -> List[Optional[Place]]:
    """
    Chooses, for each word of a sentence, the window in which its first sub-word has most context on
    the side that has less of it. The ends of the sentence cut off no context.

    # Parameters

    windows : `Sequence[Sequence[Optional[int]]]`
        The word of each sub-word of each window; `None` for special tokens. Windows follow each
        other, overlap, and together hold all of the sentence.
    words : `int`
        How many there are.

    # Returns

    `List[Optional[Place]]` : `None` for a word that has no sub-words.
    """
    found: List[Optional[Place]] = [None] * words
    best = [-1.0] * words
    for number, word_ids in enumerate(windows):
        inside = [position for position, word in enumerate(word_ids) if word is not None]
        if not inside:
            continue
        first, last = inside[0], inside[-1]
        for word, group in groupby(inside, key=word_ids.__getitem__):
            assert word is not None
            positions = list(group)
            start = positions[0]
            if number and start == first:
                # It may have begun in the window before, which has it with more context anyway.
                continue
            left = float("inf") if number == 0 else start - first
            right = float("inf") if number == len(windows) - 1 else last - start
            context = min(left, right)
            if context > best[word]:
                best[word] = context
                found[word] = Place(number, start, positions[-1] + 1)
    return found
