"""
The `distillation-targets` subcommand has the teachers of a distillation run score its training
data ahead of training.
"""

import argparse
import logging
from typing import Any, Dict, Iterator, Union

from allennlp.commands.subcommand import Subcommand
from allennlp.common import FromParams, Params
from allennlp.common import logging as common_logging
from allennlp.common.checks import ConfigurationError, check_for_gpu
from allennlp.common.util import int_to_device
from allennlp.data import DatasetReader

from structkd_allennlp.commands.arguments import add_configuration_arguments
from structkd_allennlp.data.instances import Sentence, sentence_of
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import TeacherArchives, TeacherSources

logger = logging.getLogger(__name__)


@Subcommand.register("distillation-targets")
class DistillationTargets(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Have the teachers of a structure_kd configuration score its training data,
                         and keep the scores in its target store."""
        subparser = parser.add_parser(
            self.name, description=description, help="Fill a target store for distillation."
        )
        subparser.add_argument(
            "param_path", type=str, help="path to the parameter file of the distillation run"
        )
        subparser.add_argument(
            "--cuda-device", type=int, default=-1, help="id of GPU to use (if any)"
        )
        add_configuration_arguments(subparser)
        subparser.set_defaults(func=_fill_from_args)
        return subparser


class _Targets(FromParams):
    """The part of a `structure_kd` model that is needed here."""

    def __init__(self, teachers: TeacherArchives, target_store: TargetStore) -> None:
        self.sources = TeacherSources(teachers, target_store)


def _fill_from_args(args: argparse.Namespace) -> None:
    common_logging.FILE_FRIENDLY_LOGGING = args.file_friendly_logging
    fill_target_store(args.param_path, args.overrides, args.cuda_device)


def fill_target_store(
    parameter_filename: str, overrides: Union[str, Dict[str, Any]] = "", cuda_device: int = -1
) -> TargetStore:
    """
    Scores all training sentences of a configuration that its target store lacks.

    # Parameters

    parameter_filename : `str`
    overrides : `Union[str, Dict[str, Any]]`, optional (default = `""`)
    cuda_device : `int`, optional (default = `-1`)

    # Raises

    `ConfigurationError` for a configuration that is no `structure_kd` with a `target_store`, and
    for teachers that are missing or can not be loaded.
    """
    check_for_gpu(cuda_device)
    params = Params.from_file(parameter_filename, overrides)
    config = params.as_dict(quiet=True)
    model = config.get("model", {})
    names = ("teachers", "target_store")
    if model.get("type") != "structure_kd" or any(model.get(name) is None for name in names):
        raise ConfigurationError(
            f"{parameter_filename}: there are no targets to store for it: its model must be a "
            'structure_kd with "teachers" and e.g. "target_store": {"directory": "out/targets"}'
        )
    sources = _Targets.from_params(Params({name: model[name] for name in names})).sources
    path = config["train_data_path"]
    reader = DatasetReader.from_params(params["dataset_reader"])

    def sentences() -> Iterator[Sentence]:
        return map(sentence_of, reader.read(path))

    # Reading twice keeps no sentence in memory, and finds whatever is wrong before it takes time.
    sources.check(sorted({language for _, language in sentences()}, key=str))
    sources.fill(sentences(), int_to_device(cuda_device))
    store = sources.store
    assert store is not None
    logger.info("%s holds all targets now; %d bytes on disk", store.directory, store.size())
    return store
