"""The part of an exported tagger that its graphs compute: from words to emission scores."""

from pathlib import Path
from threading import Lock
from typing import Dict, List, Optional, Sequence

import numpy as np
import onnxruntime

from structkd_allennlp.common.cores import cores
from structkd_allennlp.serving.inputs import (
    VECTORS,
    Array,
    CharacterInput,
    TypeInput,
    WordInput,
    Words,
)
from structkd_allennlp.serving.model_directory import (
    GRAPH,
    VOCABULARY,
    WORD_GRAPH,
    ModelDirectory,
    read_packed,
)
from structkd_allennlp.serving.sub_words import SubWordInput

# Of vectors, and characters of words, that are kept.
_MOST_BYTES = 16_000_000
_MOST_CHARACTERS = 2_000_000


class EmissionScorer:
    """
    # Parameters

    directory : `ModelDirectory`
    threads : `int`, optional
        How many the graphs run on. By default as many as this process has cores.
    """

    def __init__(self, directory: ModelDirectory, threads: Optional[int]) -> None:
        vocabularies = read_packed(directory.path / VOCABULARY)
        self._inputs: List[SubWordInput] = []
        by_type: List[TypeInput] = []
        for own in directory.description["inputs"]:
            name, kind = own["name"], own["type"]
            if kind == "sub_words":
                self._inputs.append(SubWordInput(own, directory.path))
                continue
            vocabulary = vocabularies[own["namespace"]]
            if kind == "words":
                by_type.append(WordInput(name, vocabulary, own["lowercase"]))
            else:
                shortest = own["shortest"]
                by_type.append(CharacterInput(name, vocabulary, own["lowercase"], shortest))
        self._vectors: Optional[WordVectors] = None
        if by_type:
            session = _session(directory.path / WORD_GRAPH, threads)
            self._vectors = WordVectors(session, by_type)
        self._session = _session(directory.path / GRAPH, threads)

    def __call__(self, words: Words) -> Array:
        """
        `(batch, length, labels)`; undefined where masked.

        # Raises

        `ValueError` where they are no numbers.
        """
        arrays: Dict[str, Array] = {"mask": words.mask}
        if self._vectors is not None:
            arrays[VECTORS] = self._vectors(words)
        for own in self._inputs:
            arrays.update(own.arrays(words))
        scores: Array = self._session.run(None, arrays)[0]
        if not np.isfinite(scores).all():
            raise ValueError("the model gives scores that are no numbers (NaN): export it again")
        return scores


class WordVectors:
    """
    What is known of words by themselves, computed once for each. Half of the tokens of a text are a
    few hundred different words, so that saves most of the convolutions over their characters.

    # Parameters

    session : `onnxruntime.InferenceSession`
        Of their graph.
    inputs : `Sequence[TypeInput]`
        All that it takes.
    most_bytes : `int`, optional
        How much of the vectors is kept. Where there are more, those of the words that come next
        take the place of all; a batch may have more by itself.
    most_characters : `int`, optional
        The same for the words.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: Sequence[TypeInput],
        most_bytes: int = _MOST_BYTES,
        most_characters: int = _MOST_CHARACTERS,
    ) -> None:
        self._session = session
        self._inputs = inputs
        size = session.get_outputs()[0].shape[1]
        self._most = most_bytes // (size * np.dtype(np.float32).itemsize)
        self._most_characters = most_characters
        self._none: Array = np.empty((0, size), np.float32)
        self._vectors = self._none
        self._rows: Dict[str, int] = {}
        self._characters = 0
        # Several threads may use a tagger.
        self._lock = Lock()

    def __call__(self, words: Words) -> Array:
        """`(batch, length, size)`, float32; undefined where masked."""
        with self._lock:
            try:
                rows = self._rows_of(words.flat)
            except KeyError:
                self._add(words.flat)
                rows = self._rows_of(words.flat)
            vectors: Array = self._vectors.take(words.padded(rows), axis=0)
        return vectors

    def _rows_of(self, words: Sequence[str]) -> Array:
        return np.fromiter(map(self._rows.__getitem__, words), np.int64, len(words))

    def _add(self, words: Sequence[str]) -> None:
        new = [word for word in dict.fromkeys(words) if word not in self._rows]
        characters = sum(map(len, new))
        if (
            len(self._rows) + len(new) > self._most
            or self._characters + characters > self._most_characters
        ):
            self._vectors, self._rows, self._characters = self._none, {}, 0
            new = list(dict.fromkeys(words))
            characters = sum(map(len, new))
        arrays = {own.name: own.array(new) for own in self._inputs}
        computed = self._session.run(None, arrays)[0]
        known = len(self._rows)
        self._make_room(known + len(new))
        self._vectors[known : known + len(new)] = computed
        self._rows.update((word, known + i) for i, word in enumerate(new))
        self._characters += characters

    def _make_room(self, rows: int) -> None:
        before = self._vectors
        if rows > len(before):
            self._vectors = np.empty((max(rows, 2 * len(before)), before.shape[1]), np.float32)
            self._vectors[: len(before)] = before


def _session(path: Path, threads: Optional[int]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    # Threads that wait are not to burn what other processes could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Batches have many shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
