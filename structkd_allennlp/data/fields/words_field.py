"""The words of a sentence, which a batch pads all at once."""

from itertools import chain
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, cast

import numpy as np
import torch
from allennlp.data import TextFieldTensors, TokenIndexer, Vocabulary
from allennlp.data.fields import TextField
from allennlp.data.token_indexers import SingleIdTokenIndexer, TokenCharactersIndexer
from allennlp.data.token_indexers.token_indexer import IndexedTokenList
from allennlp.nn.util import batch_tensor_dicts
from torch import Tensor


class WordsField(TextField):
    """
    A `TextField` that becomes the same tensors sooner: where words are single numbers or
    characters, a batch is padded at once, and not sentence by sentence by Python. What other
    indexers make is padded by them.

    # Parameters

    tokens : `List[Token]`
    token_indexers : `Dict[str, TokenIndexer]`, optional
    """

    __slots__ = ["_padding_lengths"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._padding_lengths: Optional[Dict[str, int]] = None

    def index(self, vocab: Vocabulary) -> None:
        super().index(vocab)
        self._padding_lengths = None

    def get_padding_lengths(self) -> Dict[str, int]:
        if self._padding_lengths is None:
            self._padding_lengths = super().get_padding_lengths()
        return self._padding_lengths

    def as_tensor(self, padding_lengths: Dict[str, int]) -> TextFieldTensors:
        """The tensors of this sentence, made when somebody looks at them. A batch does not."""
        return cast(TextFieldTensors, _Unpadded(self, padding_lengths))

    def padded(self, padding_lengths: Dict[str, int]) -> TextFieldTensors:
        """The tensors of this sentence."""
        return super().as_tensor(padding_lengths)

    def indexed(self, name: str) -> IndexedTokenList:
        """What the indexer of this name has made of the words."""
        assert self._indexed_tokens is not None
        return self._indexed_tokens[name]

    def batch_tensors(self, tensor_list: List[TextFieldTensors]) -> TextFieldTensors:
        sentences = [tensors for tensors in tensor_list if isinstance(tensors, _Unpadded)]
        if len(sentences) < len(tensor_list):
            # A `ListField` batches its elements first, and then what comes of that.
            return super().batch_tensors(tensor_list)
        return {
            name: _batched(name, indexer, sentences)
            for name, indexer in self.token_indexers.items()
        }

    def empty_field(self) -> "WordsField":
        empty = WordsField([], self._token_indexers)
        empty._indexed_tokens = super().empty_field()._indexed_tokens
        return empty

    def duplicate(self) -> "WordsField":
        copy = super().duplicate()
        new = WordsField(copy.tokens, copy._token_indexers)
        new._indexed_tokens = copy._indexed_tokens
        return new


class _Unpadded(Mapping[str, Dict[str, Tensor]]):
    """The tensors of a sentence, with the field and the lengths that they come from."""

    def __init__(self, field: WordsField, padding_lengths: Dict[str, int]) -> None:
        self.field = field
        self.padding_lengths = padding_lengths

    def __getitem__(self, name: str) -> Dict[str, Tensor]:
        return self.field.padded(self.padding_lengths)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.field.token_indexers)

    def __len__(self) -> int:
        return len(self.field.token_indexers)


def _batched(name: str, indexer: TokenIndexer, sentences: Sequence[_Unpadded]) -> Dict[str, Tensor]:
    # Subclasses may pad as they like.
    rank = {SingleIdTokenIndexer: 1, TokenCharactersIndexer: 2}.get(type(indexer))
    lengths = sentences[0].padding_lengths
    if rank == 1:
        ids = [sentence.field.indexed(name)["tokens"] for sentence in sentences]
        padded = _of_words(ids, lengths[f"{name}___tokens"])
        return {"tokens": padded}
    if rank == 2:
        ids = [sentence.field.indexed(name)["token_characters"] for sentence in sentences]
        shape = (lengths[f"{name}___{key}"] for key in ("token_characters", "num_token_characters"))
        return {"token_characters": _of_characters(ids, *shape)}
    return batch_tensor_dicts([sentence[name] for sentence in sentences])


def _of_words(sentences: Sequence[List[int]], length: int) -> Tensor:
    """`(batch, length)`, from the numbers of each sentence's words, which may be cut off."""
    filled = _filled(sentences, length)
    padded = np.zeros(filled.shape, dtype=np.int64)
    padded[filled] = _flat(words[:length] for words in sentences)
    return torch.from_numpy(padded)


def _of_characters(sentences: Sequence[List[List[int]]], length: int, characters: int) -> Tensor:
    """`(batch, length, characters)`, from the numbers of each word's characters."""
    filled = _filled(sentences, length)
    words = [word for sentence in sentences for word in sentence[:length]]
    # The words are rows of their own first: most of a batch may be padding.
    rows = _of_words(words, characters)
    padded = torch.zeros((*filled.shape, characters), dtype=torch.long)
    padded[torch.from_numpy(filled)] = rows
    return padded


def _filled(rows: Sequence[List[Any]], length: int) -> np.ndarray:
    """`(rows, length)`: what is no padding."""
    counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return np.arange(length) < counts[:, None]


def _flat(rows: Iterator[List[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)
