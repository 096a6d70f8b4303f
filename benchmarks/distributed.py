"""
Distillation by one process and by several, as `training_configs/distributed/` has it: seconds an
epoch, scores, and how long the processes take to agree on a gradient. On CPUs each has a thread.

    python benchmarks/distributed.py --task wikiann --output out/benchmarks/distributed.json

Targets are stored ahead, so that no teacher is in the way. A task of fixtures is over in seconds,
most of which is not training.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import measure
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from allennlp.common.util import find_open_port

from structkd_allennlp.common.files import read_json
from structkd_allennlp.training.epoch_record import read_record

CONFIG = "training_configs/distributed/one_node.jsonnet"
# Of four bytes: the parameters of a small tagger, and of larger ones.
GRADIENTS = [100_000, 500_000, 5_000_000, 50_000_000]
CALLS = 20


def train(args: argparse.Namespace, processes: int, accumulated: int, folder: Path) -> measure.Row:
    run = folder / f"{processes}_{accumulated}"
    values: Dict[str, Any] = {
        "model.target_store": {"directory": str(folder / "targets")},
        "trainer.num_epochs": args.rounds + 1,
        "trainer.num_gradient_accumulation_steps": accumulated,
        "trainer.callbacks": ["structure_kd", "epoch_record"],
    }
    if args.teachers:
        values["model.teachers"] = json.loads(args.teachers)
    if processes == 1:
        values["distributed"] = None
    variables = {"TASK": args.task, "DEVICES": json.dumps([args.device] * processes)}
    overrides = ["--overrides", json.dumps(values)]
    if processes == 1 and accumulated == 1:
        measure.allennlp("distillation-targets", CONFIG, *overrides, **variables)
    whole = measure.allennlp("train", CONFIG, "-s", str(run), *overrides, **variables)
    epochs = read_record(run)
    metrics = read_json(run / "metrics.json")
    (state,) = run.glob("training_state_*.th")
    steps = torch.load(state, weights_only=True)["callbacks"][-1]["steps"]
    seconds = statistics.median(epoch["seconds"] for epoch in epochs[1:])
    names = ("best_validation_f1-measure/macro", "best_validation_accuracy/macro")
    return {
        "processes": processes,
        "accumulated": accumulated,
        # The first has what is done once, such as compiling loops.
        "seconds_an_epoch": seconds,
        "seconds_a_step": seconds * len(epochs) / steps,
        "seconds_of_the_command": whole,
        "score": 100 * next(metrics[name] for name in names if name in metrics),
        "parameters": sum(x.numel() for x in torch.load(run / "best.th").values()),
    }


def all_reduce(processes: int, device: int) -> List[measure.Row]:
    """How long it takes to add up gradients of several sizes."""
    with tempfile.NamedTemporaryFile() as file:
        mp.spawn(_agree, (processes, device, find_open_port(), file.name), processes)
        rows: List[measure.Row] = read_json(Path(file.name))
    return rows


def _agree(rank: int, processes: int, device: int, port: int, file: str) -> None:
    dist.init_process_group(
        "gloo" if device < 0 else "nccl",
        f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=processes,
    )
    torch.set_num_threads(1)
    rows = []
    for size in GRADIENTS:
        gradient = torch.ones(size, device="cpu" if device < 0 else f"cuda:{rank}")
        samples = []
        for _ in range(CALLS):
            started = time.perf_counter()
            dist.all_reduce(gradient)
            if device >= 0:
                torch.cuda.synchronize()
            samples.append(time.perf_counter() - started)
        rows.append({"processes": processes, "numbers": size, **measure.summary(samples)})
    if rank == 0:
        Path(file).write_text(json.dumps(rows), encoding="utf-8")
    dist.destroy_process_group()


def tables(rows: Sequence[measure.Row], reductions: Sequence[measure.Row]) -> str:
    training = measure.table(
        ["processes", "batches a step", "seconds an epoch", "speed-up", "dev score"],
        [
            [
                str(row["processes"]),
                str(row["processes"] * row["accumulated"]),
                f"{row['seconds_an_epoch']:.1f}",
                f"{rows[0]['seconds_an_epoch'] / row['seconds_an_epoch']:.2f}",
                f"{row['score']:.1f}",
            ]
            for row in rows
        ],
    )
    agreement = measure.table(
        ["numbers in a gradient", "processes", "milliseconds"],
        [
            [f"{row['numbers']:,}", str(row["processes"]), f"{1000 * row['median']:.1f}"]
            for row in reductions
        ],
    )
    return f"{training}\n\n{agreement}"


def main() -> None:
    arguments = measure.parser(__doc__, "distributed", rounds=3)
    arguments.add_argument("--task", default="fixtures")
    arguments.add_argument("--teachers", help="as JSON, where they are not where the task has them")
    arguments.add_argument("--device", type=int, default=-1, choices=(-1, 0), help="0 for GPUs")
    arguments.add_argument("--processes", type=measure.positive, nargs="+", default=[1, 2])
    args = measure.parse(arguments)
    circumstances = measure.environment(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            train(args, processes, accumulated, Path(folder))
            for processes in args.processes
            for accumulated in (1, 2)
        ]
    reductions = [row for n in args.processes if n > 1 for row in all_reduce(n, args.device)]
    measure.write(args.output, "distributed", circumstances, rows=rows, reductions=reductions)
    print(tables(rows, reductions))


if __name__ == "__main__":
    main()
