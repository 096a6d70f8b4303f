"""
The `train-folds` subcommand trains one model for each fold of the training data, without that fold.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from allennlp.commands.subcommand import Subcommand
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common import logging as common_logging
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import CONFIG_NAME

from structkd_allennlp.commands.arguments import add_configuration_arguments
from structkd_allennlp.common.archive_files import unpacked
from structkd_allennlp.common.files import read_json
from structkd_allennlp.data.corpus_paths import Part, with_part

logger = logging.getLogger(__name__)


@Subcommand.register("train-folds")
class TrainFolds(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Train a model for each of several folds of the training data, on all the
                         others, for cross-fitted distillation targets. What is finished is not
                         trained again; what was interrupted is recovered."""
        subparser = parser.add_parser(
            self.name, description=description, help="Train cross-fitted teachers."
        )
        subparser.add_argument(
            "param_path", type=str, help="path to the parameter file of a teacher"
        )
        subparser.add_argument(
            "-s",
            "--serialization-dir",
            required=True,
            type=str,
            help="directory in which to save the models, each in a folder foldI",
        )
        subparser.add_argument("--folds", type=int, default=5, help="how many folds to make")
        add_configuration_arguments(subparser)
        subparser.set_defaults(func=_train_from_args)
        return subparser


def _train_from_args(args: argparse.Namespace) -> None:
    common_logging.FILE_FRIENDLY_LOGGING = args.file_friendly_logging
    archives = train_folds(args.param_path, args.serialization_dir, args.folds, args.overrides)
    print("The teacher, for a structure_kd model:", json.dumps({"folds": archives}))


def train_folds(
    parameter_filename: str,
    serialization_dir: str,
    folds: int = 5,
    overrides: Union[str, Dict[str, Any]] = "",
) -> List[str]:
    """
    Trains a model for each fold of the training data, on all the others.

    # Parameters

    parameter_filename : `str`
    serialization_dir : `str`
        The model that has not seen fold I is trained in its folder `foldI`.
    folds : `int`, optional (default = `5`)
    overrides : `Union[str, Dict[str, Any]]`, optional (default = `""`)

    # Returns

    `List[str]` : the archives, in the order of the folds.

    # Raises

    `ConfigurationError` for fewer than 2 folds, and for a folder with a run of another
    configuration.
    """
    if folds < 2:
        raise ConfigurationError(f"cross-fitting needs 2 folds or more, not {folds}")
    archives = []
    for fold in range(1, folds + 1):
        directory = Path(serialization_dir) / f"fold{fold}"
        params = Params.from_file(parameter_filename, overrides)
        path = params.as_dict(quiet=True)["train_data_path"]
        params["train_data_path"] = with_part(path, Part(fold, folds, others=True))
        archive = directory / "model.tar.gz"
        archives.append(str(archive))
        if _is_finished(directory):
            _check_same(directory, params)
            logger.info("%s is there already", archive)
            continue
        logger.info("training without fold %d of %d", fold, folds)
        recover = _configuration(directory) is not None
        train_model(params, str(directory), recover=recover, force=not recover)
    return archives


def _is_finished(directory: Path) -> bool:
    # An interrupted run leaves an archive too, but its final metrics it writes only at the end.
    if not (directory / "metrics.json").exists():
        return False
    try:
        with unpacked(str(directory / "model.tar.gz")):
            return True
    except (OSError, ConfigurationError):
        return False


def _configuration(directory: Path) -> Optional[Dict[str, Any]]:
    """The one that was trained in a directory; `None` where there is none, or half of one."""
    try:
        return read_json(directory / CONFIG_NAME)
    except (OSError, ValueError):
        return None


def _check_same(directory: Path, params: Params) -> None:
    if _configuration(directory) != params.as_dict(quiet=True):
        raise ConfigurationError(
            f"{directory} holds a model of another configuration: choose another directory, or "
            "delete this one"
        )
