"""Sentences of several languages, the smaller of which come more than once."""

import heapq
from collections import Counter
from itertools import islice
from typing import Dict, Iterator, List, Tuple

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.corpus_paths import CorpusFile, Paths
from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.sentences import TaggedSentence


def copies_by_language(sizes: Dict[str, int], exponent: float) -> Dict[str, float]:
    """
    How often each language has to come, for its share of the text to be in proportion to
    `size ** exponent` (Devlin et al., multilingual BERT; Conneau et al., 2020). The largest comes
    once, so no sentence is left out, and any other `(largest / size) ** (1 - exponent)` times.

    # Parameters

    sizes : `Dict[str, int]`
        The number of sentences of each language.
    exponent : `float`
        From 0, where all languages get the same share, to 1, where each keeps its own.
    """
    if not 0.0 <= exponent <= 1.0:
        raise ConfigurationError(f'"exponent" must be between 0 and 1, not {exponent}')
    largest = max(sizes.values())
    return {
        language: float((largest / size) ** (1.0 - exponent)) for language, size in sizes.items()
    }


class SampledText:
    """
    The sentences of corpora in several languages, with languages sampled by an exponent. It is one
    pass over all of the text, in which the smaller languages come more than once, evenly spread and
    without chance: always the same sentences in the same order. Files are streamed, but read twice,
    first to count.

    # Parameters

    reader : `MultilingualReader`
    paths : `Paths`
        See `structkd_allennlp.data.corpus_paths`. Each file is in one language.
    exponent : `float`
        See `copies_by_language`.
    """

    def __init__(self, reader: MultilingualReader, paths: Paths, exponent: float) -> None:
        self._reader = reader
        self._files: List[Tuple[CorpusFile, str, int]] = []
        sizes: Counter[str] = Counter()
        for file in reader.files(paths):
            found = Counter(str(x.language) for x in reader.sentences_of(file))
            if len(found) > 1:
                raise ConfigurationError(
                    f"{file.path}: sentences in {', '.join(sorted(found))}. Split the file: its "
                    "language says how often its sentences have to come."
                )
            ((language, size),) = found.items()
            self._files.append((file, language, size))
            sizes[language] += size
        self.sizes: Dict[str, int] = dict(sizes)
        """The number of sentences of each language, each counted once."""
        self.copies = copies_by_language(self.sizes, exponent)

    def sentences(self, shard: int = 0, shards: int = 1) -> Iterator[TaggedSentence]:
        """
        # Parameters

        shard, shards : `int`, optional (default = `0` of `1`)
            Which of how many parts, no two of which have a sentence in common other than one that
            comes more than once. Each has about the same share of every language.
        """
        streams = [
            self._positions(file, size, round(size * self.copies[language]), shard, shards)
            for file, language, size in self._files
        ]
        for _, sentence in heapq.merge(*streams, key=lambda item: item[0]):
            yield sentence

    def _positions(
        self, file: CorpusFile, size: int, wanted: int, shard: int, shards: int
    ) -> Iterator[Tuple[float, TaggedSentence]]:
        """The sentences of a file, each with its place in the whole stream, between 0 and 1."""

        def repeated() -> Iterator[TaggedSentence]:
            for _ in range(-(-wanted // size)):
                yield from self._reader.sentences_of(file)

        for i, sentence in islice(enumerate(repeated()), shard, wanted, shards):
            yield (i + 0.5) / wanted, sentence
