"""Sentences like those of a corpus, for where there is no raw text of its kind."""

import logging
import os
import random
from collections import defaultdict
from itertools import islice
from typing import Any, DefaultDict, Iterable, Iterator, List, Optional, Sequence, Tuple

from allennlp.data import DatasetReader, Token
from allennlp.data.dataset_readers.dataset_reader import PathOrStr

from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader, as_tagging_reader
from structkd_allennlp.data.dataset_readers.text_files import input_error
from structkd_allennlp.data.sentences import TaggedSentence

logger = logging.getLogger(__name__)

SEED = 13370
"""AllenNLP's own default. Sentences are part of the data: they do not change with a run's seed."""

ATTEMPTS = 1000
"""After so many sentences in a row that are not new there are taken to be no more."""

TRIGRAM_WEIGHT = 0.5
"""The rest is the bigram's, which leads from one sentence into another."""


class NGramModel:
    """
    A trigram model of sentences, interpolated with a bigram model (Jelinek and Mercer, 1980):

        P(w | u, v) = (count(u, v, w) / count(u, v) + count(v, w) / count(v)) / 2,

    with two marks before each sentence, and one after it. It has not been smoothed: all bigrams of
    a sample are bigrams of these sentences.

    # Parameters

    sentences : `Iterable[Sequence[str]]`
        The words of each, at least one. They are kept in memory.
    """

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        # What follows each context, as often as it does. None marks the start and the end.
        self._after: DefaultDict[Tuple[Optional[str], ...], List[Optional[str]]] = defaultdict(list)
        for words in sentences:
            first: Optional[str] = None
            second: Optional[str] = None
            for word in (*words, None):
                self._after[second,].append(word)
                self._after[first, second].append(word)
                first, second = second, word

    def sample(self, rng: random.Random) -> List[str]:
        """The words of a sentence; at least one."""
        words: List[str] = []
        first: Optional[str] = None
        second: Optional[str] = None
        while True:
            context = (first, second) if rng.random() < TRIGRAM_WEIGHT else (second,)
            word = rng.choice(self._after[context])
            if word is None:
                return words
            words.append(word)
            first, second = second, word


@DatasetReader.register("ngram_text")
class NGramTextReader(TaggingReader):
    """
    Reads a file as another reader does, and gives sentences like those in it, without tags: samples
    of an n-gram model of them (`NGramModel`; see Tang et al., 2019, who distil from sampled
    n-grams). As the `unlabelled_reader` of a `multilingual` reader it gives teachers text of the
    labelled sentences' kind to tag, where there is no such raw text:

        {"unlabelled": "data/{language}/train.xml"}

    No sentence comes twice, and none is in the file. They are always the same for the same file.

    Registered as a `DatasetReader` with name "ngram_text".

    # Parameters

    reader : `TaggingReader`
        Reads the file. Its own `max_instances` is how many sentences the model is made of.
    max_instances : `int`, optional (default=`None`)
        How many sentences a file gives; by default, as many as are in it. Where there are not so
        many, a warning says how many there are.

    Raises `ConfigurationError` for input that `reader` cannot read, and where no sentence can be
    made that is not in the file.
    """

    # The hint says `DatasetReader` because only that class can look up a registered name.
    def __init__(self, reader: DatasetReader, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = as_tagging_reader('"reader" of an "ngram_text"', reader)
        self.files_name_language = self.reader.files_name_language

    def sentences(
        self, file_path: PathOrStr, language: Optional[str] = None
    ) -> Iterator[TaggedSentence]:
        sentences = self.reader.sentences(file_path, language or self.language)
        corpus = list(islice(sentences, self.reader.max_instances))
        wanted = self.max_instances or len(corpus)
        found = 0
        for words in _new_sentences([sentence.words for sentence in corpus]):
            yield TaggedSentence([Token(word) for word in words], None, corpus[0].language)
            found += 1
            if found == wanted:
                return
        if not found:
            raise input_error(
                os.fspath(file_path),
                "no other sentences can be made of the word sequences in it",
                "Name a file with more sentences",
            )
        logger.warning(
            "%s: only %d different sentences were found by sampling, not %d",
            file_path,
            found,
            wanted,
        )


def _new_sentences(corpus: List[List[str]]) -> Iterator[List[str]]:
    """Samples that are neither in the corpus nor among those before."""
    model = NGramModel(corpus)
    rng = random.Random(SEED)
    known = set(map(tuple, corpus))
    failures = 0
    while failures < ATTEMPTS:
        words = model.sample(rng)
        if tuple(words) in known:
            failures += 1
            continue
        failures = 0
        known.add(tuple(words))
        yield words
