"""
The `distillation-suite` subcommand trains teachers, a baseline and students with several objectives
and seeds, evaluates them all, and reports how they compare.
"""

import argparse
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import SigTermReceived, install_sigterm_handler
from rich.console import Console

from structkd_allennlp.commands.arguments import add_configuration_arguments
from structkd_allennlp.common.cluster import add_executor_arguments, cluster
from structkd_allennlp.suite.executor import Executor, LocalExecutor
from structkd_allennlp.suite.runner import run_suite
from structkd_allennlp.suite.specification import Suite


@Subcommand.register("distillation-suite")
class DistillationSuite(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Run a comparison: teachers, a baseline and several ways to distil, each
                         with several seeds, evaluated on test files. What is done is not done
                         again; what was interrupted is recovered."""
        subparser = parser.add_parser(
            self.name, description=description, help="Compare ways to distil."
        )
        subparser.add_argument("suite_path", type=str, help="path to the file of the suite")
        subparser.add_argument(
            "-s",
            "--serialization-dir",
            required=True,
            type=str,
            help="directory in which to save all runs, the results and the report",
        )
        subparser.add_argument(
            "--jobs",
            type=int,
            default=None,
            help="""how many runs to do at a time (default: the number of GPUs, or else 1; on a
                    cluster, as many as there is room for)""",
        )
        add_executor_arguments(subparser)
        subparser.add_argument(
            "--cpus",
            type=int,
            default=None,
            metavar="N",
            help="""on a cluster, how many CPUs each run asks for, and how many threads it uses
                    (default: 1); where there are GPUs, it asks for one, too""",
        )
        add_configuration_arguments(subparser)
        subparser.set_defaults(func=_run_from_args)
        return subparser


def _run_from_args(args: argparse.Namespace) -> None:
    # As AllenNLP's own commands do: a suite has thousands of parameters.
    logging.getLogger("allennlp.common.params").disabled = True
    # A terminal gets a live display, unless separate lines are asked for.
    console = Console(force_terminal=False if args.file_friendly_logging else None)
    suite = Suite.from_file(args.suite_path, args.overrides)
    try:
        with _executor(args) as executor:
            # Otherwise a SIGTERM would end this process before it can stop its runs. (Ray sets a
            # handler, too, which does just that.)
            install_sigterm_handler()
            lacking = run_suite(
                suite, Path(args.serialization_dir), executor, args.include_package, console
            )
    except (KeyboardInterrupt, SigTermReceived) as error:
        console.print("interrupted; the same command goes on from here")
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 143)
    if lacking:
        sys.exit(f"not done: {', '.join(lacking)}; the same command tries again")


@contextmanager
def _executor(args: argparse.Namespace) -> Iterator[Executor]:
    if args.executor == "local":
        for name in ("address", "cpus"):
            if getattr(args, name) is not None:
                raise ConfigurationError(f"--{name} is for clusters: add --executor ray")
        yield LocalExecutor(args.jobs)
        return
    with cluster(args.address):
        # It cannot be imported where there is no Ray, which `cluster` has said then.
        from structkd_allennlp.suite.ray_executor import RayExecutor

        yield RayExecutor(args.jobs, 1 if args.cpus is None else args.cpus)
