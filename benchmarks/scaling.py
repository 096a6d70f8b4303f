"""
What work on a billion sentences needs, from costs measured on one machine: a simulation of clusters
of 10, 100 and 1,000 workers (see `simulation.py`). It reads what these have written:

    python benchmarks/cluster.py targets
    python benchmarks/cluster.py tag --model out/exported
    python benchmarks/distributed.py --task wikiann
    python benchmarks/scaling.py --output docs/results/scaling.json

With 1 and 2 workers it has to come out at what was measured; the table says both.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import measure
from simulation import Failures, Outcome, Stage, simulate

from structkd_allennlp.common.files import read_json

SENTENCES = 1_000_000_000
WORKERS = [1, 2, 10, 100, 1_000]
# What nobody can measure here: what a cluster has in common, in bytes a second.
STORAGE = 2e9
NETWORK = 1.25e9
# A node that is lost once a month, and somebody else who has loaded the model two minutes later.
FAILURES = Failures(30 * 86_400, 120)
SECONDS_A_MESSAGE = 1e-4
# Ray Data gives out some hundred rows a second.
SECONDS_A_TASK = 0.01
VARIATION = 0.1
# Parts of which steady throughput is taken: at least so many for each worker.
PARTS_A_WORKER = 40
SHARD_WORKERS = 4
# Of JSON lines with probabilities of tags, and of text.
OUTPUT_BYTES, TEXT_BYTES = 1_500, 100


class Plan(NamedTuple):
    """
    # Parameters

    job : `str`
    stages : `List[Stage]`
        Of a part.
    sentences : `int`
        In a part.
    measured : `Dict[int, float]`
        Sentences a second, by workers.
    """

    job: str
    stages: List[Stage]
    sentences: int
    measured: Dict[int, float]


def rates(results: Dict[str, Any], executor: str) -> Dict[int, float]:
    """Sentences a second by the number of workers: medians."""
    found: Dict[int, List[float]] = {}
    for row in results["runs"]:
        name, _, workers = str(row["executor"]).partition(", ")
        if name.lower() == executor:
            found.setdefault(int(workers or row["workers"]), []).append(row["rate"])
    return {workers: statistics.median(own) for workers, own in found.items()}


def targets(results: Dict[str, Any], scorer: Optional[float], name: str) -> List[Plan]:
    """
    One store, and one for each few workers, by parts of the corpus. Reading, looking up and storing
    are the command's own work, which the time of one worker contains.
    """
    measured = rates(results, "ray")
    alone = {row["step"]: 1 / row["rate"] for row in results["alone"]}
    steps = ("reading sentences", "looking up what is missing", "storing parts")
    own = sum(alone[step] for step in steps)
    part = 800
    # A worker and the command work at the same time, so the slower of them is what is measured.
    work = 1 / (scorer or measured[1])
    stored = statistics.mean(row["bytes"] / row["sentences"] for row in results["runs"])
    plans = []
    for shards, workers in (("one store", None), (f"a store for {SHARD_WORKERS}", SHARD_WORKERS)):
        stages = [
            Stage(part * own, "command", workers),
            Stage(part * work),
            Stage(part * stored / NETWORK, "network"),
            Stage(part * stored / STORAGE, "storage"),
        ]
        plans.append(Plan(f"targets, {name}, {shards}", stages, part, {} if scorer else measured))
    return plans


def tagging(results: Dict[str, Any]) -> Plan:
    """All that the command does is to give out parts."""
    measured = rates(results, "ray")
    part = 40_000
    stages = [
        Stage(SECONDS_A_TASK, "command"),
        Stage(part * TEXT_BYTES / STORAGE, "storage"),
        Stage(part / measured[1]),
        Stage(part * OUTPUT_BYTES / STORAGE, "storage"),
    ]
    return Plan("tagging", stages, part, measured)


def run(plan: Plan, workers: int) -> measure.Row:
    parts = max(2_000, PARTS_A_WORKER * workers)
    outcome: Outcome = simulate(plan.stages, workers, parts, VARIATION, FAILURES)
    rate = outcome.steady * plan.sentences
    shared = {name: busy for name, busy in outcome.busy.items() if name != "workers"}
    bottleneck = max(shared, key=lambda name: shared[name])
    return {
        "job": plan.job,
        "workers": workers,
        "rate": rate,
        "measured": plan.measured.get(workers),
        "hours": SENTENCES / rate / 3600,
        "busy": outcome.busy,
        "bottleneck": bottleneck if shared[bottleneck] > 0.9 else "workers",
    }


def table(rows: Sequence[measure.Row]) -> str:
    header = ["job, workers", "sentences a second", "measured", "hours for a billion"]
    return measure.table(
        [*header, "workers busy", "bottleneck"],
        [
            [
                f"{row['job']}, {row['workers']:,}",
                f"{row['rate']:,.0f}",
                f"{row['measured']:,.0f}" if row["measured"] else "",
                f"{row['hours']:,.1f}",
                f"{100 * row['busy']['workers']:.0f}%",
                row["bottleneck"],
            ]
            for row in rows
        ],
    )


def training(results: Dict[str, Any]) -> List[measure.Row]:
    """
    Steps of n processes against one, where each has its share of a step, and where each has as much
    as one process. In a ring, 2 (n - 1) / n of a gradient's bytes pass each connection, in
    2 (n - 1) messages.
    """
    one = next(row for row in results["rows"] if row["processes"] == row["accumulated"] == 1)
    rows = []
    for processes in WORKERS:
        ring = 2 * (processes - 1) / processes * 4 * one["parameters"] / NETWORK
        ring += 2 * (processes - 1) * SECONDS_A_MESSAGE
        seconds = one["seconds_a_step"]
        rows.append(
            {
                "processes": processes,
                "shared": seconds / (seconds / processes + ring),
                "whole": processes * seconds / (seconds + ring),
            }
        )
    return rows


def training_table(rows: Sequence[measure.Row]) -> str:
    return measure.table(
        ["processes", "a share of a step each", "a whole step each"],
        [[f"{x['processes']:,}", f"{x['shared']:,.1f}", f"{x['whole']:,.1f}"] for x in rows],
    )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = Path("out/benchmarks")
    arguments.add_argument("--targets", type=Path, default=folder / "cluster_targets.json")
    arguments.add_argument("--tag", type=Path, default=folder / "cluster_tag.json")
    arguments.add_argument("--distributed", type=Path, default=folder / "distributed.json")
    arguments.add_argument("--output", type=Path, default=folder / "scaling.json")
    arguments.add_argument(
        "--scorer",
        type=float,
        default=50.0,
        help="sentences a second of a slow teacher, such as a large transformer (%(default)s)",
    )
    args = arguments.parse_args()
    measure.check_output(args.output)
    filled, tagged, trained = map(read_json, (args.targets, args.tag, args.distributed))
    plans = [
        *targets(filled, None, "a BiLSTM"),
        *targets(filled, args.scorer, f"{args.scorer:g} a second"),
        tagging(tagged),
    ]
    rows = [run(plan, workers) for plan in plans for workers in WORKERS]
    processes = training(trained)
    print(table(rows))
    print(training_table(processes))
    measure.write(args.output, "scaling", measure.environment(1), rows=rows, training=processes)


if __name__ == "__main__":
    main()
