"""Fills a target store ahead of training."""

import logging
from copy import deepcopy
from functools import partial
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
)

import torch
from allennlp.common import Params, Tqdm
from allennlp.common.checks import ConfigurationError, check_for_gpu
from allennlp.common.util import int_to_device, lazy_groups_of
from allennlp.data import DatasetReader

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teacher import Teacher

logger = logging.getLogger(__name__)

# A teacher runs on batches of this many tokens, padding included: enough to keep a GPU busy, and
# small beside what training itself needs.
_TOKENS_A_BATCH = 4096
# How many sentences are looked up, and sorted by length, at a time.
_SENTENCES_A_CHUNK = 10_000
# How many batches are handed to a worker at a time: seconds of work on a CPU, a tenth on a GPU.
_BATCHES_A_PART = 4


class Part(NamedTuple):
    """Sentences that a teacher is to score, in batches."""

    teacher: Teacher
    batches: List[List[Sentence]]


class Missing:
    """
    What a store lacks. How sentences are batched follows from the sentences and from what the store
    had at first, if only whole parts, or whole batches, are stored: what is left of a chunk then
    falls into the same batches as before.

    # Parameters

    archives : `Archives`
    """

    def __init__(self, archives: Archives) -> None:
        self._archives = archives
        self._under_way: Set[Tuple[Teacher, Sentence]] = set()

    def parts(
        self, sentences: Iterable[Sentence], on_found: Callable[[int], object]
    ) -> Iterator[Part]:
        """
        Holds no more than a chunk of the sentences at a time, and what is under way: what has been
        returned and is not `stored` yet.

        # Parameters

        sentences : `Iterable[Sentence]`
        on_found : `Callable[[int], object]`
            Told how many sentences need not be scored.
        """
        for chunk in lazy_groups_of(sentences, _SENTENCES_A_CHUNK):
            by_teacher: Dict[Teacher, List[Sentence]] = {}
            for sentence in chunk:
                for teacher in self._archives.teachers_of(sentence):
                    by_teacher.setdefault(teacher, []).append(sentence)
            for teacher, own in by_teacher.items():
                missing = self._missing(teacher, own)
                on_found(len(own) - len(missing))
                batches = by_length(missing, lambda one: len(one.words), _TOKENS_A_BATCH)
                for group in lazy_groups_of(batches, _BATCHES_A_PART):
                    part = Part(teacher, group)
                    self._under_way.update(_pairs(part))
                    yield part

    def stored(self, part: Part) -> None:
        """To be called when all scores of a part are in the store."""
        self._under_way.difference_update(_pairs(part))

    def _missing(self, teacher: Teacher, sentences: List[Sentence]) -> List[Sentence]:
        # In this order, as what is under way may be stored at any time, by another thread.
        idle = (
            one
            for one in map(_hashable, sentences)
            if not self._under_way or (teacher, one) not in self._under_way
        )
        return teacher.missing(idle)


def _hashable(sentence: Sentence) -> Sentence:
    return Sentence(tuple(sentence.words), sentence.language)


def _pairs(part: Part) -> Iterator[Tuple[Teacher, Sentence]]:
    return ((part.teacher, sentence) for batch in part.batches for sentence in batch)


def score_missing(archives: Archives, sentences: Iterable[Sentence], device: torch.device) -> None:
    """
    Has every teacher score those of its sentences that the store lacks, with a progress bar, and
    then frees its model. Holds no more than a chunk of the sentences at a time.
    """
    missing = Missing(archives)
    with Tqdm.tqdm(desc="teacher targets", unit=" sentences") as progress:
        for part in missing.parts(sentences, progress.update):
            for batch in part.batches:
                part.teacher.computed(batch, device)
                progress.update(len(batch))
            missing.stored(part)
    archives.release()


def fill_target_store(
    params: Params,
    source: str = "the configuration",
    cuda_device: int = -1,
    score: Optional[Callable[[Archives, Iterable[Sentence]], None]] = None,
) -> TargetStore:
    """
    Scores all training sentences of a distillation run that its target store lacks.

    # Parameters

    params : `Params`
        The run's configuration.
    source : `str`, optional (default = `"the configuration"`)
        What errors call it, such as the path of its file.
    cuda_device : `int`, optional (default = `-1`)
    score : `Callable[[Archives, Iterable[Sentence]], None]`, optional
        What scores the sentences that the store lacks: by default `score_missing`, on the device.

    # Raises

    `ConfigurationError` for a configuration that is not a `structure_kd` with a `target_store`, and
    for teachers that are missing or cannot be loaded.
    """
    if score is None:
        check_for_gpu(cuda_device)
        score = partial(score_missing, device=int_to_device(cuda_device))
    config = params.as_dict(quiet=True)
    model = config.get("model", {})
    names = ("teachers", "target_store")
    if model.get("type") != "structure_kd" or any(model.get(name) is None for name in names):
        raise ConfigurationError(
            f"{source}: there are no targets to store for it: its model must be a "
            'structure_kd with "teachers" and e.g. "target_store": {"directory": "out/targets"}'
        )
    store = TargetStore.from_params(Params(deepcopy(model["target_store"])))
    archives = Archives(model["teachers"], store)
    reader = DatasetReader.from_params(params["dataset_reader"].duplicate())
    path = config["train_data_path"]

    def sentences() -> Iterator[Sentence]:
        return map(sentence_of, reader.read(path))

    # Reading twice keeps no sentence in memory, and finds what is wrong before any teacher runs.
    archives.check(sorted({language for _, language in sentences()}, key=str))
    archives.check_sentences(sentences())
    score(archives, sentences())
    logger.info("%s holds all targets now; %d bytes on disk", store.directory, store.size())
    return store
