"""A tagger that has been exported, and all that it can say of a sentence."""

import os
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np

from structkd_allennlp.common.batching import LIKE_A_TOKEN, SentenceSize, weighted_batches
from structkd_allennlp.common.requests import Request, RequestError
from structkd_allennlp.common.word_rules import Piece
from structkd_allennlp.modules.entity_probability import (
    ChunkBoundaries,
    EntityProbability,
    spans_of_paths,
)
from structkd_allennlp.modules.linear_chain.arrays import Array, ArrayChain, ArrayPotentials
from structkd_allennlp.serving.emission_scorer import EmissionScorer
from structkd_allennlp.serving.inputs import Words
from structkd_allennlp.serving.model_directory import CARD, ModelDirectory
from structkd_allennlp.serving.words import WordSplitter

MAX_SENTENCE_LENGTH = 250_000
"""In tokens, each counted as `SentenceSize` does: no longer sentence can be tagged."""

_MAX_TOKENS_PER_BATCH = 1024
"""More take longer, as what is computed of them does not fit into a processor's cache."""
_LONGER = "Split it, or ask for fewer sequences"

T = TypeVar("T")
U = TypeVar("U")

Sentence = Union[str, Sequence[str]]
Result = Dict[str, Any]


class _Given(NamedTuple):
    """A sentence as it came, in words; raw text has their places in it."""

    words: List[str]
    language: Optional[str]
    text: Optional[str] = None
    pieces: Sequence[Piece] = ()


class Tagger:
    """
    A tagger that `allennlp export-tagger` has written. It says of a sentence what our predictor,
    `structured_tagger`, says of it with the archive.

        >>> tagger = Tagger.load("student")  # doctest: +SKIP
        >>> tagger.tag(["Ada lives in Rotterdam ."], language="en")[0]["tags"]  # doctest: +SKIP
        ['B-PER', 'O', 'O', 'B-LOC', 'O']

    Use `Tagger.load`.

    # Attributes

    name : `str`
        Of its directory.
    card : `str`
        The model card, Markdown.
    info : `Dict[str, Any]`
        `languages`, `labels`, `label_encoding`, `parameters`, `size` (bytes), `metrics` (of its
        test or validation data), `licence`, `revision` (of this package), `digests`, `format`, and
        more that is in its `tagger.json`.
    """

    def __init__(self, directory: ModelDirectory, threads: Optional[int] = None) -> None:
        description = directory.description
        self.name = directory.path.resolve().name
        self.card = (directory.path / CARD).read_text(encoding="utf-8")
        self.info: Dict[str, Any] = {**description["info"], "size": directory.size()}
        self.info.update((key, description[key]) for key in ("format", "digests"))
        self._labels: List[str] = self.info["labels"]
        self._label_array: Array = np.array(self._labels, object)
        self._splitter = WordSplitter(directory.path, description["text"])
        self._potentials = _potentials(description["potentials"])
        decoding = description["decoding_potentials"]
        self._decoding = self._potentials if decoding is None else _potentials(decoding)
        self._boundaries: Optional[ChunkBoundaries] = None
        boundaries = description["boundaries"]
        if boundaries is not None:
            starts, ends = (np.array(boundaries[name], bool) for name in ("starts", "ends"))
            self._boundaries = ChunkBoundaries(boundaries["types"], starts, ends)
            self._span_rules = EntityProbability(self._boundaries).rules
        self._scores = EmissionScorer(directory, threads)
        self._compiled = False

    @classmethod
    def load(cls, path: Union[str, "os.PathLike[str]"], threads: Optional[int] = None) -> "Tagger":
        """
        # Parameters

        path : `Union[str, os.PathLike]`
            The directory.
        threads : `int`, optional
            How many the graph runs on. By default as many as this process has cores.

        # Raises

        `ValueError` for a directory that is no exported tagger, has another format, or is damaged.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        return cls(ModelDirectory.read(Path(path)), threads)

    def tag(
        self,
        sentences: Sequence[Sentence],
        language: Optional[Union[str, Sequence[Optional[str]]]] = None,
        top_k: int = 1,
        marginals: bool = False,
    ) -> List[Result]:
        """
        # Parameters

        sentences : `Sequence[Union[str, Sequence[str]]]`
            Raw text, which is split as the archive's dataset reader splits it, or words.
        language : `Union[str, Sequence[Optional[str]]]`, optional
            Of all, or of each.
        top_k : `int`, optional (default = `1`)
            How many tag sequences to list; fewer where no more exist.
        marginals : `bool`, optional (default = `False`)
            Whether to list the probability of every label.

        # Returns

        `List[Dict[str, Any]]`
            Of each sentence what `StructuredTaggerPredictor` documents.

        # Raises

        `ValueError` for a sentence that cannot be tagged, with its number if there are several.
        """
        if isinstance(sentences, str):
            raise ValueError("sentences must be a list, not one string: put it into a list")
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ValueError(f"top_k must be a whole number of at least 1, not {top_k!r}")
        languages = self._languages(language, len(sentences))
        given = list(zip(sentences, languages, strict=True))
        asked = _for_each(lambda one: Request.of(*one), given)
        return self.tag_requests(asked, top_k, marginals)

    def tag_requests(
        self, requests: Sequence[Request], top_k: int = 1, marginals: bool = False
    ) -> List[Result]:
        """As `tag`, of sentences that have been checked already."""

        def prepared(request: Request) -> Tuple[_Given, Optional[SentenceSize]]:
            given = self._given(request)
            return given, self._size(given.words, top_k) if given.words else None

        ready = _for_each(prepared, requests)
        sizes = {number: size for number, (_, size) in enumerate(ready) if size is not None}
        results: Dict[int, Result] = {}
        for batch in weighted_batches(sizes, _MAX_TOKENS_PER_BATCH):
            tagged = self._tagged([ready[number][0] for number in batch], top_k, marginals)
            results.update(zip(batch, tagged, strict=True))
        return [
            results[number] if number in results else self._empty(request.language, marginals)
            for number, request in enumerate(requests)
        ]

    def warm_up(self) -> None:
        """
        For a process that is going to live, such as a server: from now on the chain's loops are
        those that Numba compiles, where it is installed. They take a second to load, and, the first
        time ever on a machine, some seconds to compile; then they take a tenth of the time. And
        what has not been read of its directory yet is read, so that this may go.
        """
        from structkd_allennlp.modules.linear_chain import loops

        self._splitter.load()
        self._compiled = loops.ARE_COMPILED
        self.tag([["a", "b"]], top_k=2, marginals=True)

    def emission_scores(self, sentences: Sequence[Sequence[str]]) -> List[Array]:
        """`(length, labels)` of each sentence, given in words, none of them empty."""
        words = Words(sentences)
        scores = self._scores(words)
        return [own[:n] for own, n in zip(scores, words.lengths.tolist(), strict=True)]

    @staticmethod
    def _languages(
        language: Optional[Union[str, Sequence[Optional[str]]]], count: int
    ) -> Sequence[Optional[str]]:
        if language is None or isinstance(language, str):
            return [language] * count
        if not isinstance(language, Sequence):
            raise ValueError(f"language must be a string or a list of them, not {language!r}")
        if len(language) != count:
            raise ValueError(
                f"{len(language)} languages for {count} sentences: name one for all, or one, or "
                "None, for each"
            )
        return language

    def _given(self, request: Request) -> _Given:
        sentence, language = request
        known = language or self._splitter.language
        if not isinstance(sentence, str):
            return _Given(sentence, known)
        if len(sentence) > MAX_SENTENCE_LENGTH * LIKE_A_TOKEN:
            raise RequestError(
                f"a sentence of {len(sentence):,} characters is longer than "
                f"{MAX_SENTENCE_LENGTH * LIKE_A_TOKEN:,}: split it"
            )
        pieces = self._splitter(sentence, language)
        return _Given([piece.text for piece in pieces], known, sentence, pieces)

    def _size(self, words: Sequence[str], top_k: int) -> SentenceSize:
        size = SentenceSize.of(words, self._sequences(len(words), top_k))
        if size.total > MAX_SENTENCE_LENGTH:
            raise RequestError(
                f"{len(words):,} words, the longest of {max(map(len, words)):,} characters, take "
                f"as much memory as {size.total:,} tokens, more than {MAX_SENTENCE_LENGTH:,}. "
                f"{_LONGER}"
            )
        return size

    def _sequences(self, length: int, top_k: int) -> int:
        if top_k == 1:
            return 1
        # With two labels or more, 64 tokens have more sequences than anybody can list.
        return min(top_k, len(self._labels) ** min(length, 64))

    def _tagged(self, given: Sequence[_Given], top_k: int, marginals: bool) -> List[Result]:
        words = Words([one.words for one in given])
        lengths = words.lengths.tolist()
        chain = ArrayChain(self._scores(words), words.lengths, self._potentials, self._compiled)
        paths, scores = chain.k_best(self._sequences(max(lengths), top_k), self._decoding)
        # Shape: (batch, k)
        probabilities = np.exp(scores - chain.log_partition[:, None])
        of_labels = chain.marginals
        best = paths[:, 0]
        # Shape: (batch, length)
        rows, positions = np.ogrid[: len(best), : best.shape[1]]
        of_tags = of_labels[rows, positions, best]
        entities = self._entities(chain, best, words.lengths, given)
        results = []
        columns = (self._label_array[paths], scores, probabilities, of_tags)
        for one, own, n, *values in zip(
            given, entities, lengths, *(column.tolist() for column in columns), strict=True
        ):
            own_paths, own_scores, own_probabilities, own_tags = values
            ranked: List[Result] = [
                {"tags": path[:n], "score": score, "probability": probability}
                for path, score, probability in zip(
                    own_paths, own_scores, own_probabilities, strict=True
                )
                if score > -np.inf
            ]
            results.append(
                {
                    "words": one.words,
                    "language": one.language,
                    "tags": own_paths[0][:n],
                    "tag_probabilities": own_tags[:n],
                    "entities": own,
                    "top_k": ranked,
                }
            )
        if marginals:
            for result, rows, n in zip(results, of_labels, lengths, strict=True):
                result["marginals"] = [
                    dict(zip(self._labels, row, strict=True)) for row in rows[:n].tolist()
                ]
        return results

    def _entities(
        self, chain: ArrayChain, best: Array, lengths: Array, given: Sequence[_Given]
    ) -> List[List[Result]]:
        if self._boundaries is None:
            return [[] for _ in given]
        spans = spans_of_paths(best, lengths, self._boundaries, self._compiled)
        probabilities = chain.span_probabilities(self._span_rules, spans)
        types = self._boundaries.types
        found: List[List[Result]] = [[] for _ in given]
        columns = (column.tolist() for column in (*spans, probabilities))
        for row, label, *values in zip(*columns, strict=True):
            found[row].append(_entity(given[row], types[label], *values))
        return found

    @staticmethod
    def _empty(language: Optional[str], marginals: bool) -> Result:
        names = ["words", "tags", "tag_probabilities", "entities", "top_k"]
        if marginals:
            names.append("marginals")
        return {"language": language, **{name: [] for name in names}}


def _for_each(prepare: Callable[[T], U], values: Sequence[T]) -> List[U]:
    """Raises `ValueError` with the number of the one at fault, if there are several."""
    results = []
    for number, value in enumerate(values, start=1):
        try:
            results.append(prepare(value))
        except ValueError as error:
            place = f"sentence {number}: " if len(values) > 1 else ""
            raise ValueError(f"{place}{error}") from error
    return results


def _entity(given: _Given, label: str, start: int, end: int, probability: float) -> Result:
    result: Result = {
        "text": " ".join(given.words[start:end]),
        "label": label,
        "start": start,
        "end": end,
        "probability": probability,
    }
    if given.text is not None:
        first, last = given.pieces[start].start, given.pieces[end - 1].end
        result.update(text=given.text[first:last], start_char=first, end_char=last)
    return result


def _potentials(description: Dict[str, Any]) -> ArrayPotentials:
    """JSON has no infinity: `null` forbids."""

    def array(values: Any) -> Array:
        result: Array = np.array(values, float)
        return np.where(np.isnan(result), -np.inf, result)

    return ArrayPotentials(*(array(description[key]) for key in ("transitions", "start", "end")))
