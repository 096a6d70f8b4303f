"""Batches of what has a length."""

from typing import Callable, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, TypeVar

T = TypeVar("T")


def by_length(items: Iterable[T], length: Callable[[T], int], most: int) -> Iterator[List[T]]:
    """
    Sorts items into batches of at most `most` units, padding included. An item that is longer is a
    batch of its own.

    # Parameters

    items : `Iterable[T]`
    length : `Callable[[T], int]`
        Of an item, in units such as words.
    most : `int`
    """
    batch: List[T] = []
    for item in sorted(items, key=length):
        # Sorted, so this item is the longest of its batch.
        if batch and (len(batch) + 1) * length(item) > most:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


LIKE_A_TOKEN = 16
"""
So many characters, or label sequences asked for, take about as much memory as all else that a
tagger keeps of a token.
"""


class SentenceSize(NamedTuple):
    """
    # Parameters

    length : `int`
        In tokens.
    weight : `int`
        How much each of its tokens counts. Models of characters pad all words of a batch to the
        longest one, and label sequences have a label for every token.
    """

    length: int
    weight: int

    @classmethod
    def of(cls, words: Sequence[str], sequences: int) -> "SentenceSize":
        """Of a sentence, of which so many label sequences are asked for."""
        longest = max(map(len, words))
        return cls(len(words), 1 + longest // LIKE_A_TOKEN + sequences // LIKE_A_TOKEN)

    @property
    def total(self) -> int:
        return self.length * self.weight


def weighted_batches(sizes: Mapping[int, SentenceSize], most: int) -> Iterator[List[int]]:
    """
    Sorts sentences into batches with little padding.

    # Parameters

    sizes : `Mapping[int, SentenceSize]`
        Of each sentence, by its number.
    most : `int`
        How many tokens a batch may have, padding included, each with its weight. A sentence that
        has more is a batch of its own.

    # Returns

    `Iterator[List[int]]`
        The numbers of the sentences of each batch.
    """
    batch: List[int] = []
    length = weight = 0
    for number, size in sorted(sizes.items(), key=lambda item: (item[1].weight, item[1].length)):
        length, weight = max(length, size.length), max(weight, size.weight)
        if batch and (len(batch) + 1) * length * weight > most:
            yield batch
            batch, (length, weight) = [], size
        batch.append(number)
    if batch:
        yield batch
