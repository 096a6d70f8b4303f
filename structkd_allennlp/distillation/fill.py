"""Fills a target store ahead of training."""

import logging
from copy import deepcopy
from typing import Dict, Iterable, Iterator, List

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


def _length(sentence: Sentence) -> int:
    return len(sentence.words)


def score_missing(archives: Archives, sentences: Iterable[Sentence], device: torch.device) -> None:
    """
    Has every teacher score those of its sentences that the store lacks, with a progress bar, and
    then frees its model. Holds no more than a chunk of the sentences at a time.
    """
    with Tqdm.tqdm(desc="teacher targets", unit=" sentences") as progress:
        for chunk in lazy_groups_of(sentences, _SENTENCES_A_CHUNK):
            by_teacher: Dict[Teacher, List[Sentence]] = {}
            for sentence in chunk:
                for teacher in archives.teachers_of(sentence):
                    by_teacher.setdefault(teacher, []).append(sentence)
            for teacher, own in by_teacher.items():
                missing = teacher.missing(own)
                progress.update(len(own) - len(missing))
                for batch in by_length(missing, _length, _TOKENS_A_BATCH):
                    teacher.computed(batch, device)
                    progress.update(len(batch))
    archives.release()


def fill_target_store(
    params: Params, source: str = "the configuration", cuda_device: int = -1
) -> TargetStore:
    """
    Scores all training sentences of a distillation run that its target store lacks.

    # Parameters

    params : `Params`
        The run's configuration.
    source : `str`, optional (default = `"the configuration"`)
        What errors call it, such as the path of its file.
    cuda_device : `int`, optional (default = `-1`)

    # Raises

    `ConfigurationError` for a configuration that is not a `structure_kd` with a `target_store`, and
    for teachers that are missing or cannot be loaded.
    """
    check_for_gpu(cuda_device)
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
    score_missing(archives, sentences(), int_to_device(cuda_device))
    logger.info("%s holds all targets now; %d bytes on disk", store.directory, store.size())
    return store
