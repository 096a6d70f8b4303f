"""From words to the arrays that the graphs of an exported tagger take."""

from itertools import chain
from typing import Any, List, Protocol, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

VECTORS = "word_vectors"
"""What the graph of words gives, and that of sentences takes."""

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

    def padded(self, numbers: Array) -> Array:
        """`(batch, length)` of a number for each word; 0 where masked."""
        result = np.zeros(self.mask.shape, numbers.dtype)
        result[self.mask] = numbers
        return result


class TypeInput(Protocol):
    """Makes the array that stands for words by themselves in one way."""

    name: str

    def array(self, words: Sequence[str]) -> Array: ...


class WordInput:
    """
    Numbers of words, `(words,)`.

    # Parameters

    name : `str`
    vocabulary : `Sequence[str]`
        By number.
    lowercase : `bool`
    """

    def __init__(self, name: str, vocabulary: Sequence[str], lowercase: bool) -> None:
        self.name = name
        self._numbers = {word: number for number, word in enumerate(vocabulary)}
        self._unknown = self._numbers[UNKNOWN]
        self._lowercase = lowercase

    def array(self, words: Sequence[str]) -> Array:
        if self._lowercase:
            words = [word.lower() for word in words]
        numbers, unknown = self._numbers, self._unknown
        return np.array([numbers.get(word, unknown) for word in words], np.int64)


class CharacterInput:
    """
    Numbers of the characters of words, `(words, characters)`.

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
        self.name = name
        self._lowercase = lowercase
        self._shortest = shortest
        codes = {ord(text): number for number, text in enumerate(vocabulary) if len(text) == 1}
        # Shape: (highest code point + 2,); the last is for all above
        self._numbers = np.full(max(codes, default=0) + 2, vocabulary.index(UNKNOWN))
        self._numbers[list(codes)] = list(codes.values())

    def array(self, words: Sequence[str]) -> Array:
        if self._lowercase:
            words = [word.lower() for word in words]
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
        longest = max(int(lengths.max()), self._shortest)
        characters = np.zeros((len(words), longest), np.int64)
        numbers = self._numbers[np.minimum(codes, len(self._numbers) - 1)]
        characters[np.arange(longest) < lengths[:, None]] = numbers
        return characters
