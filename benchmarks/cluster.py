"""
What work on a Ray cluster costs beside work on one machine: nodes of a CPU each, on this one.

    python benchmarks/cluster.py suite
    python benchmarks/cluster.py tag --model student --sentences 1000000
    python benchmarks/cluster.py targets --sentences 1000000

`suite` runs a suite by local processes and on a cluster, by one worker and by two. `tag` has
`structkd tag` tag sentences by both, checks that all outputs are the same, and watches the memory.
`targets` does the same with a target store, by one local process, one worker and two.
"""

import argparse
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence, Set, Tuple

import measure
import targets as filling
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
                whole = measure.allennlp(
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


def tag(args: argparse.Namespace) -> None:
    rows: List[measure.Row] = []
    digests: Set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        lines = Path(args.input).read_text(encoding="utf-8").splitlines(keepends=True)
        for count in (1, args.sentences):
            with (directory / f"{count}.txt").open("w", encoding="utf-8") as file:
                file.writelines(itertools.islice(itertools.cycle(lines), count))
        for workers in args.workers:
            with nodes(workers) as address:
                executors = {
                    "local": ["--threads", str(workers)],
                    "ray": ["--executor", "ray", "--address", address],
                }
                for round_ in range(args.rounds):
                    for executor in list(executors)[:: -1 if round_ % 2 else 1]:
                        row, digest = _tagged(args, directory, executors[executor])
                        digests.add(digest)
                        rows.append({"executor": executor, "workers": workers, **row})
                        measure.note(
                            f"{executor}, {workers} at a time: {row['seconds']:.1f} s, "
                            f"{row['rate']:,.0f} sentences a second"
                        )
    if len(digests) > 1:
        raise RuntimeError("not all outputs are the same, to the byte")
    print(tag_table(rows))
    measure.write(args.output, "cluster tag", measure.environment(args.threads), runs=rows)


def _tagged(
    args: argparse.Namespace, directory: Path, options: List[str]
) -> Tuple[measure.Row, str]:
    """A measurement, and the digest of the output."""
    seconds = {}
    for count in (1, args.sentences):
        output = directory / "output"
        files = [str(directory / f"{count}.txt"), "--output", str(output)]
        seconds[count], memory = _watched(["tag", args.model, *files, *options])
        digest = hashlib.sha256()
        for part in sorted(output.glob("part-*")) if output.is_dir() else [output]:
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        shutil.rmtree(output) if output.is_dir() else output.unlink()
    middle = len(memory) // 2
    row = {
        "sentences": args.sentences,
        "seconds": seconds[args.sentences],
        "seconds_of_one": seconds[1],
        # Without what it takes to start.
        "rate": (args.sentences - 1) / (seconds[args.sentences] - seconds[1]),
        "bytes_by_half": [max(memory[:middle], default=0), max(memory[middle:], default=0)],
        "load": os.getloadavg()[0],
    }
    return row, digest.hexdigest()


def _watched(arguments: Sequence[str]) -> Tuple[float, List[int]]:
    """
    The seconds that `structkd` takes and, twice a second, the resident bytes of the largest of all
    processes that tag: the command itself, those that it starts, and Ray's workers.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "structkd_allennlp.serving.cli", *arguments]
    process = subprocess.Popen(command)
    memory = []
    while process.poll() is None:
        memory.append(max(_resident(), default=0))
        time.sleep(0.5)
    if process.returncode:
        raise ConfigurationError("structkd tag failed, for the reason above")
    return time.perf_counter() - started, memory


def _resident() -> Iterator[int]:
    """Of each process that tags, which are those that come of this one and are not Ray's own."""
    parents: Dict[int, int] = {}
    sizes: Dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            name = status.with_name("cmdline").read_bytes()
            parents[int(fields["Pid"])] = int(fields["PPid"])
            if name.startswith(b"ray::") or b"serving.cli" in name or b"multiprocessing" in name:
                sizes[int(fields["Pid"])] = 1024 * int(fields.get("VmRSS", "0").split()[0])
        except (OSError, ValueError):
            # It has ended.
            continue
    for pid, size in sizes.items():
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        if pid == os.getpid():
            yield size


def tag_table(rows: Sequence[measure.Row]) -> str:
    lines = []
    for executor, workers in dict.fromkeys((row["executor"], row["workers"]) for row in rows):
        own = [row for row in rows if (row["executor"], row["workers"]) == (executor, workers)]
        median = {
            name: measure.summary([row[name] for row in own])["median"]
            for name in ("seconds", "seconds_of_one", "rate")
        }
        first, second = (max(row["bytes_by_half"][half] for row in own) / 1e6 for half in (0, 1))
        lines.append(
            [
                f"{executor}, {workers}",
                f"{median['seconds']:,.1f}",
                f"{median['seconds_of_one']:.1f}",
                f"{median['rate']:,.0f}",
                f"{first:,.0f}",
                f"{second:,.0f}",
            ]
        )
    header = [
        "executor, workers",
        "s",
        "s for one sentence",
        "sentences a second",
        "MB, first half",
    ]
    return measure.table([*header, "MB, second half"], lines)


def targets(args: argparse.Namespace) -> None:
    filling.targets(args, nodes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmarks = parser.add_subparsers(required=True)

    def benchmark(
        run: Callable[[argparse.Namespace], None], rounds: int, description: str
    ) -> argparse.ArgumentParser:
        result = benchmarks.add_parser(
            run.__name__,
            parents=[measure.parser(None, f"cluster_{run.__name__}", rounds)],
            conflict_handler="resolve",
            help=description,
        )
        help_ = "default: %(default)s"
        result.add_argument(
            "--workers", type=measure.positive, nargs="+", default=[1, 2], help=help_
        )
        if run is not suite:
            result.add_argument("--input", default="data/text/en.txt", help=help_)
            result.add_argument("--sentences", type=measure.positive, default=100_000, help=help_)
        result.set_defaults(run=run)
        return result

    benchmark(suite, 3, "a suite").add_argument(
        "--suite",
        default="training_configs/suites/fixtures.jsonnet",
        help="default: %(default)s",
    )
    benchmark(tag, 3, "bulk tagging").add_argument(
        "--model", required=True, help="an exported tagger"
    )
    filling.add_arguments(benchmark(targets, 1, "a target store"))
    args = measure.parse(parser)
    args.run(args)
