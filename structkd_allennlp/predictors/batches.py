"""Batches of sentences of many lengths, in bounded memory."""

from typing import Iterator, List, Mapping, NamedTuple, Sequence

from allennlp.data import Token

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
    def of(cls, tokens: Sequence[Token], sequences: int) -> "SentenceSize":
        """`sequences` is how many label sequences are asked for."""
        longest = max(len(token.text or "") for token in tokens)
        return cls(len(tokens), 1 + longest // LIKE_A_TOKEN + sequences // LIKE_A_TOKEN)

    @property
    def total(self) -> int:
        return self.length * self.weight


def batches(sizes: Mapping[int, SentenceSize], most: int) -> Iterator[List[int]]:
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
