"""What a run of a suite is trained on: how much it is, and which test sentences are in it."""

from collections import Counter
from copy import deepcopy
from itertools import islice
from typing import AbstractSet, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from allennlp.common import Params
from allennlp.data import DatasetReader

from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.overlap import digest_of
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.suite.comparison import TrainingData
from structkd_allennlp.suite.jobs import TrainJob
from structkd_allennlp.suite.rows import Config


class TrainingSet(NamedTuple):
    """
    # Parameters

    data : `TrainingData`
    labelled, unlabelled : `Set[bytes]`
        The digests of its sentences.
    """

    data: TrainingData
    labelled: Set[bytes]
    unlabelled: Set[bytes]

    def repeated(self, tests: Mapping[str, List[bytes]]) -> Dict[str, Dict[str, List[int]]]:
        """
        By `"labelled"` and `"unlabelled"` and by language, the numbers of the test sentences that
        are in it, from 0, whatever the language there.

        # Parameters

        tests : `Mapping[str, List[bytes]]`
            By language, the digests of the test sentences.
        """
        both = {"labelled": self.labelled, "unlabelled": self.unlabelled}
        return {
            kind: {language: _among(known, digests) for language, digests in tests.items()}
            for kind, known in both.items()
        }


def training_set(job: TrainJob) -> Optional[TrainingSet]:
    """Reads the training data of a job; `None` where other readers than ours read it."""
    sentences = _sentences(job.config)
    if sentences is None:
        return None
    known: Dict[bool, Set[bytes]] = {True: set(), False: set()}
    number: Counter[bool] = Counter()
    tokens: Counter[bool] = Counter()
    for sentence in sentences:
        labelled = sentence.tags is not None
        known[labelled].add(digest_of(sentence.words))
        number[labelled] += 1
        tokens[labelled] += len(sentence.tokens)
    of_teachers = _labelled_in_any(job.learned_from)
    data: TrainingData = {
        "labelled_sentences": number[True],
        "labelled_tokens": tokens[True],
        "unlabelled_sentences": number[False],
        "unlabelled_tokens": tokens[False],
        "teachers_labelled_sentences": of_teachers and of_teachers[0],
        "teachers_labelled_tokens": of_teachers and of_teachers[1],
    }
    return TrainingSet(data, known[True], known[False])


def _labelled_in_any(configs: List[Config]) -> Optional[Tuple[int, int]]:
    """
    The number of labelled sentences and tokens in all of these together. A sentence that is in
    several of them, as in the folds of cross-fitted teachers, counts as often as in that which has
    it most often.
    """
    in_any: Counter[Tuple[Optional[str], bytes]] = Counter()
    lengths: Dict[Tuple[Optional[str], bytes], int] = {}
    for config in configs:
        sentences = _sentences(config)
        if sentences is None:
            return None
        own: Counter[Tuple[Optional[str], bytes]] = Counter()
        for sentence in sentences:
            if sentence.tags is not None:
                key = sentence.language, digest_of(sentence.words)
                own[key] += 1
                lengths[key] = len(sentence.tokens)
        in_any |= own
    return in_any.total(), sum(count * lengths[key] for key, count in in_any.items())


def _sentences(config: Config) -> Optional[Iterator[TaggedSentence]]:
    reader = DatasetReader.from_params(Params(deepcopy(config["dataset_reader"])))
    if not isinstance(reader, (TaggingReader, MultilingualReader)):
        return None
    return islice(reader.sentences(config["train_data_path"]), reader.max_instances)


def _among(known: AbstractSet[bytes], digests: List[bytes]) -> List[int]:
    return [i for i, digest in enumerate(digests) if digest in known]
