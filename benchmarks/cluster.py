"""
What work on a Ray cluster costs beside work on one machine: nodes of a CPU each, on this one.

    python benchmarks/cluster.py suite

`suite` runs a suite by local processes and on a cluster, by one worker and by two.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import measure
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json

OBJECT_STORE_BYTES = 200_000_000


@contextmanager
def nodes(number: int) -> Iterator[str]:
    """The address of a cluster."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(number - 1):
            cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def command(*arguments: str) -> float:
    """The seconds that `allennlp` takes. Its log is shown where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "allennlp", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode:
        raise ConfigurationError(f"allennlp {arguments[0]} failed:\n{done.stdout[-3000:]}")
    return time.perf_counter() - started


def suite(args: argparse.Namespace) -> None:
    rows: List[measure.Row] = []
    for workers in args.workers:
        with nodes(workers) as address:
            executors = {
                "local": ["--jobs", str(workers)],
                "ray": ["--executor", "ray", "--address", address],
            }
            rows += _suites(args, workers, executors)
    print(suite_table(rows))
    measure.write(args.output, "cluster suite", measure.environment(args.threads), runs=rows)


def _suites(
    args: argparse.Namespace, workers: int, executors: Dict[str, List[str]]
) -> Iterator[measure.Row]:
    for round_ in range(args.rounds):
        # In turns, so that whatever else the machine does is shared by all.
        for executor in list(executors)[:: -1 if round_ % 2 else 1]:
            with tempfile.TemporaryDirectory() as directory:
                whole = command(
                    "distillation-suite", args.suite, "-s", directory, *executors[executor]
                )
                runs = read_json(Path(directory, "results.json"))["runs"]
            yield {
                "executor": executor,
                "workers": workers,
                "seconds": whole,
                "seconds_of_training": sum(run["seconds"] for run in runs),
                "runs": len(runs),
                "load": os.getloadavg()[0],
            }
            measure.note(f"{executor}, {workers} at a time: {whole:.1f} s")


def suite_table(rows: Sequence[measure.Row]) -> str:
    lines = []
    for workers in dict.fromkeys(row["workers"] for row in rows):
        seconds = {
            executor: measure.summary(
                [
                    row["seconds"]
                    for row in rows
                    if (row["workers"], row["executor"]) == (workers, executor)
                ]
            )["median"]
            for executor in ("local", "ray")
        }
        lines.append(
            [
                str(workers),
                *(f"{seconds[x]:.1f}" for x in ("local", "ray")),
                f"{100 * (seconds['ray'] / seconds['local'] - 1):+.1f}%",
            ]
        )
    return measure.table(["workers", "local, s", "Ray, s", "difference"], lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmarks = parser.add_subparsers(required=True)
    arguments = benchmarks.add_parser(
        "suite",
        parents=[measure.parser(None, "cluster_suite", rounds=3)],
        conflict_handler="resolve",
        help="a suite",
    )
    arguments.add_argument(
        "--suite",
        default="training_configs/suites/fixtures.jsonnet",
        help="default: %(default)s",
    )
    arguments.add_argument(
        "--workers", type=measure.positive, nargs="+", default=[1, 2], help="default: %(default)s"
    )
    arguments.set_defaults(run=suite)
    args = measure.parse(parser)
    args.run(args)
