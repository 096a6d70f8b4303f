"""
The `distillation-targets` subcommand has the teachers of a distillation run score its training
data ahead of training.
"""

import argparse

from allennlp.commands.subcommand import Subcommand
from allennlp.common import Params
from allennlp.common import logging as common_logging

from structkd_allennlp.commands.arguments import add_configuration_arguments
from structkd_allennlp.distillation.fill import fill_target_store


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


def _fill_from_args(args: argparse.Namespace) -> None:
    common_logging.FILE_FRIENDLY_LOGGING = args.file_friendly_logging
    params = Params.from_file(args.param_path, args.overrides)
    fill_target_store(params, args.param_path, args.cuda_device)
