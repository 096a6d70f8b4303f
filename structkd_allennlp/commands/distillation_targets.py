"""
The `distillation-targets` subcommand has the teachers of a distillation run score its training
data ahead of training.
"""

import argparse
from contextlib import ExitStack
from functools import partial

from allennlp.commands.subcommand import Subcommand
from allennlp.common import Params
from allennlp.common import logging as common_logging
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.commands.arguments import add_configuration_arguments
from structkd_allennlp.common.cluster import add_executor_arguments, cluster
from structkd_allennlp.distillation.cluster_fill import score_missing_on_cluster
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
            "--cuda-device",
            type=int,
            default=-1,
            help="id of GPU to use (if any); on a cluster, any id has each worker use a GPU",
        )
        add_executor_arguments(subparser)
        subparser.add_argument(
            "--workers",
            type=int,
            default=None,
            help="on a cluster: how many (default: one for each of its CPUs, or GPUs)",
        )
        add_configuration_arguments(subparser)
        subparser.set_defaults(func=_fill_from_args)
        return subparser


def _fill_from_args(args: argparse.Namespace) -> None:
    common_logging.FILE_FRIENDLY_LOGGING = args.file_friendly_logging
    params = Params.from_file(args.param_path, args.overrides)
    if args.executor == "local":
        if args.address or args.workers is not None:
            raise ConfigurationError("--address and --workers need --executor ray")
        fill_target_store(params, args.param_path, args.cuda_device)
        return
    if args.workers is not None and args.workers < 1:
        raise ConfigurationError(f"--workers is {args.workers}: give 1 or more")
    score = partial(
        score_missing_on_cluster,
        workers=args.workers,
        gpu=args.cuda_device >= 0,
        packages=args.include_package,
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(cluster(args.address))
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        fill_target_store(params, args.param_path, score=score)
