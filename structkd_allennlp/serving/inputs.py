"""From words to the arrays that the graph of an exported tagger takes."""

from itertools import chain
from typing import Any, Dict, List, Protocol, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNKNOWN = "@@UNKNOWN@@"
"""What AllenNLP's vocabularies call what they do not know; number 0 is their padding."""


class Words:
    """
    The words of a batch.

    # Parameters

    sentences : `Sequence[Sequence[str]]`
        None of them empty.

    # Attributes

    mask : `Array`
        `(batch, length)`, bool.
    lengths : `Array`
        `(batch,)`.
    flat : `List[str]`
        All words in order.
    """

    def __init__(self, sentences: Sequence[Sequence[str]]) -> None:
        self.flat: List[str] = list(chain.from_iterable(sentences))
        self.lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        self.mask: Array = np.arange(self.lengths.max()) < self.lengths[:, None]

    def padded(self, values: Any) -> Array:
        """`(batch, length)` of one number for each word."""
        result = np.zeros(self.mask.shape, np.int64)
        result[self.mask] = values
        return result


class Input(Protocol):
    """Makes those arrays that stand for words in one way."""

    def arrays(self, words: Words) -> Dict[str, Array]: ...


class WordInput:
    """
    Numbers of words, `NAME` `(batch, length)`.

    # Parameters

    name : `str`
    vocabulary : `Sequence[str]`
        By number.
    lowercase : `bool`
    """

    def __init__(self, name: str, vocabulary: Sequence[str], lowercase: bool) -> None:
        self._name = name
        self._numbers = {word: number for number, word in enumerate(vocabulary)}
        self._unknown = self._numbers[UNKNOWN]
        self._lowercase = lowercase

    def arrays(self, words: Words) -> Dict[str, Array]:
        flat = [word.lower() for word in words.flat] if self._lowercase else words.flat
        numbers, unknown = self._numbers, self._unknown
        return {self._name: words.padded([numbers.get(word, unknown) for word in flat])}


class CharacterInput:
    """
    Numbers of the characters of all different words, `NAME` `(words, characters)`, and which of
    these words each is, `NAME_rows` `(batch, length)`.

    # Parameters

    name : `str`
    vocabulary : `Sequence[str]`
        By number.
    lowercase : `bool`
    shortest : `int`
        How many characters there are at least, padding included.
    """

    def __init__(
        self, name: str, vocabulary: Sequence[str], lowercase: bool, shortest: int
    ) -> None:
        self._name = name
        self._lowercase = lowercase
        self._shortest = shortest
        codes = {ord(text): number for number, text in enumerate(vocabulary) if len(text) == 1}
        # Shape: (highest code point + 2,); the last is for all above
        self._numbers = np.full(max(codes, default=0) + 2, vocabulary.index(UNKNOWN))
        self._numbers[list(codes)] = list(codes.values())

    def arrays(self, words: Words) -> Dict[str, Array]:
        flat = [word.lower() for word in words.flat] if self._lowercase else words.flat
        rows = {word: row for row, word in enumerate(dict.fromkeys(flat))}
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        codes = np.frombuffer("".join(rows).encode("utf-32-le"), np.uint32)
        longest = max(int(lengths.max()), self._shortest)
        characters = np.zeros((len(rows), longest), np.int64)
        numbers = self._numbers[np.minimum(codes, len(self._numbers) - 1)]
        characters[np.arange(longest) < lengths[:, None]] = numbers
        return {
            self._name: characters,
            f"{self._name}_rows": words.padded([rows[word] for word in flat]),
        }
