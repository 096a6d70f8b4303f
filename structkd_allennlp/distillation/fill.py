"""Fills a target store ahead of training."""

import logging
from copy import deepcopy
from typing import Iterator

from allennlp.common import FromParams, Params
from allennlp.common.checks import ConfigurationError, check_for_gpu
from allennlp.common.util import int_to_device
from allennlp.data import DatasetReader

from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import TeacherArchives, TeacherSources

logger = logging.getLogger(__name__)


class _Targets(FromParams):
    """The part of a `structure_kd` model that is needed here."""

    def __init__(self, teachers: TeacherArchives, target_store: TargetStore) -> None:
        self.sources = TeacherSources(teachers, target_store)


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
    targets = Params({name: deepcopy(model[name]) for name in names})
    sources = _Targets.from_params(targets).sources
    reader = DatasetReader.from_params(params["dataset_reader"].duplicate())
    path = config["train_data_path"]

    def sentences() -> Iterator[Sentence]:
        return map(sentence_of, reader.read(path))

    # Reading twice keeps no sentence in memory, and finds whatever is wrong before it takes time.
    sources.check(sorted({language for _, language in sentences()}, key=str))
    sources.fill(sentences(), int_to_device(cuda_device))
    store = sources.store
    assert store is not None
    logger.info("%s holds all targets now; %d bytes on disk", store.directory, store.size())
    return store
