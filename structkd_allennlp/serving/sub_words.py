"""From words to the sub-words that a transformer takes."""

from itertools import chain
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np

from structkd_allennlp.serving.inputs import Array, Words

# Words whose sub-words are kept in memory.
_KNOWN_WORDS = 100_000


class SubWordInput:
    """
    What `transformer` embedders take: sub-words of sentences as inputs of the transformer, `NAME`
    `(segments, pieces)`, with `NAME_mask` of the same shape. Of the sub-words that words consist
    of, `(used,)` each, `NAME_places` in the flattened former, `NAME_words`, the numbers of their
    words in the flattened `(batch, length)`, and `NAME_weights`, with which they are added up.

    # Parameters

    description : `Mapping[str, Any]`
        `name`; `tokenizer`, its file; `start`, `end` and `padding`, the special
        sub-words of an input;
        `max_length`, of an input, at which longer sentences are folded, or `None`; `longest`, which
        the transformer takes at most, or `None`; `unknown`, the sub-words that stand for each word
        of a sentence that has none, or `None`; `mode`, `"avg"` or `"first"`.
    directory : `Path`
    """

    def __init__(self, description: Mapping[str, Any], directory: Path) -> None:
        # Only taggers on transformers need it.
        from tokenizers import Tokenizer  # type: ignore[import-untyped]

        self._name: str = description["name"]
        self._tokenizer = Tokenizer.from_file(str(directory / description["tokenizer"]))
        self._start: List[int] = description["start"]
        self._end: List[int] = description["end"]
        self._padding: int = description["padding"]
        self._longest = description["longest"]
        special = len(self._start) + len(self._end)
        maximum = description["max_length"]
        self._segment = None if maximum is None else maximum - special
        self._unknown = description["unknown"]
        self._first_only = description["mode"] == "first"
        self._known: Dict[str, List[int]] = {}

    def arrays(self, words: Words) -> Dict[str, Array]:
        pieces = self._pieces(words.flat)
        segments: List[List[int]] = []
        # By sub-word: the segment it is in, its place there, and the word that it belongs to.
        rows: List[int] = []
        columns: List[int] = []
        owners: List[int] = []
        weights: List[float] = []
        own = iter(pieces)
        longest = words.mask.shape[1]
        for sentence, n in enumerate(words.lengths.tolist()):
            of_words = [next(own) for _ in range(n)]
            if self._unknown is not None and not any(of_words):
                of_words = [self._unknown] * n
            flat = list(chain.from_iterable(of_words))
            size = self._segment or max(len(flat), 1)
            self._check(len(flat))
            first = len(segments)
            for place in range(0, max(len(flat), 1), size):
                segments.append([*self._start, *flat[place : place + size], *self._end])
            place = 0
            for i, of_word in enumerate(of_words):
                used = of_word[:1] if self._first_only else of_word
                for j in range(place, place + len(used)):
                    rows.append(first + j // size)
                    columns.append(len(self._start) + j % size)
                owners += [sentence * longest + i] * len(used)
                weights += [1 / len(used)] * len(used) if used else []
                place += len(of_word)
        lengths = np.fromiter(map(len, segments), np.int64, len(segments))
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self._padding)
        ids[mask] = list(chain.from_iterable(segments))
        places = np.array(rows, np.int64) * mask.shape[1] + np.array(columns, np.int64)
        return {
            self._name: ids,
            f"{self._name}_mask": mask.astype(np.int64),
            f"{self._name}_places": places,
            f"{self._name}_words": np.array(owners, np.int64),
            f"{self._name}_weights": np.array(weights, np.float32),
        }

    def _pieces(self, words: List[str]) -> List[List[int]]:
        """The sub-words of each word, which may be none."""
        known = self._known
        new = [word for word in dict.fromkeys(words) if word not in known]
        if new:
            if len(known) + len(new) > _KNOWN_WORDS:
                known = self._known = {}
                new = list(dict.fromkeys(words))
            found = self._tokenizer.encode_batch(new, add_special_tokens=False)
            known.update((word, own.ids) for word, own in zip(new, found, strict=True))
        return [known[word] for word in words]

    def _check(self, pieces: int) -> None:
        total = pieces + len(self._start) + len(self._end)
        if self._segment is None and self._longest is not None and total > self._longest:
            raise ValueError(
                f"a sentence of {total:,} sub-words is longer than the {self._longest:,} that its "
                "transformer takes: split it"
            )
