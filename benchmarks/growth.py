"""
How cost grows: that of a chain's operations with the length, the labels and the batch, and the
time, the space and the memory of a target store with the corpus. `benchmarks/report.py` plots it.

    python benchmarks/growth.py --output out/benchmarks/growth.json
    python benchmarks/growth.py --parts store --half --output out/benchmarks/growth_half.json

Stores are made in a temporary folder in --directory, each in a process of its own, which reports
the memory it holds in the end (Linux), and are deleted. One million sentences take 2 GB of disk. A
store that is "put" gets random scores, and one that is "filled" those of a teacher of the fixtures.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import measure
import numpy
import torch
from allennlp.common.checks import ConfigurationError
from contenders import Ours
from inference import Operation, k_best, make_problem, marginals, nll, posterior, prepared
from peers import AllenNLP

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import Archives
from structkd_allennlp.distillation.fill import score_missing
from structkd_allennlp.distillation.target_store import TargetStore

PARTS = ["chains", "store"]
# Powers of 2 around the middle, which is where the other two stay.
BATCH, LENGTH, LABELS = 32, 32, 17
AXES = {
    "length": [8, 16, 32, 64, 128, 256, 512],
    "labels": [4, 8, 17, 32, 64, 128, 200],
    "batch": [1, 4, 16, 32, 64, 128, 256],
}
OPERATIONS: Dict[str, Tuple[str, Operation]] = {
    "negative log-likelihood, forward and backward": (Ours.name, nll),
    "the same, AllenNLP": (AllenNLP.name, nll),
    "marginals, without gradient": (Ours.name, marginals),
    "posterior loss, forward and backward": (Ours.name, posterior),
    "10 best paths": (Ours.name, k_best),
}
# An operation that has taken as long at one size sits out the remaining rounds.
SECONDS = 5.0

STORE_SIZES = [1_000, 10_000, 100_000, 1_000_000]
# A teacher runs on every sentence, so this takes longer.
FILL_SIZES = [1_000, 10_000, 50_000, 100_000]
# As many sentences of 20 tokens as a batch of a teacher has.
SENTENCES_A_PUT = 200
READS = 10_000
TEACHER = "fixtures/teachers/en.tar.gz"


def chains(rounds: int, quick: bool) -> Iterator[measure.Row]:
    for axis, sizes in AXES.items():
        for size in sizes[:4] if quick else sizes:
            shape = {"batch": BATCH, "length": LENGTH, "labels": LABELS, axis: size}
            measure.note(f"chains: {shape}")
            problem = make_problem(
                (shape["batch"], shape["length"], shape["labels"]),
                torch.float32,
                torch.device("cpu"),
            )
            calls: Dict[str, Callable[[], Any]] = {
                title: prepared(operation, contender, problem)
                for title, (contender, operation) in OPERATIONS.items()
            }
            for title, samples in measure.timed(calls, rounds, limit=SECONDS).items():
                summary = measure.summary(samples)
                yield {"axis": axis, "size": size, **shape, "operation": title, **summary}


def sentence(i: int) -> Sentence:
    """The i-th sentence of a made-up corpus, of 3 to 37 tokens, 20 on average."""
    rng = random.Random(i)
    return Sentence([f"w{rng.randrange(10**6)}" for _ in range(rng.randint(3, 37))], "en")


def put(store: TargetStore, sentences: int, labels: int) -> measure.Row:
    """Fills a store with random scores and reads some."""
    rng = numpy.random.default_rng(0)
    many = rng.standard_normal((10_000, labels), dtype=numpy.float32)
    seconds, tokens = 0.0, 0
    for start in range(0, sentences, SENTENCES_A_PUT):
        scores = []
        for i in range(start, min(start + SENTENCES_A_PUT, sentences)):
            one = sentence(i)
            first, length = i % (len(many) - len(one.words)), len(one.words)
            scores.append((one, many[first : first + length]))
            tokens += length
        started = time.perf_counter()
        store.put("teacher", scores)
        seconds += time.perf_counter() - started
    chosen = random.Random(0)
    reads = [sentence(chosen.randrange(sentences)) for _ in range(READS)]
    started = time.perf_counter()
    for one in reads:
        if store.get("teacher", one, labels) is None:
            raise RuntimeError(f"the store lacks what was put into it: {one}")
    return {
        "tokens": tokens,
        "sentences_a_second": sentences / seconds,
        "reads_a_second": READS / (time.perf_counter() - started),
    }


def fill(store: TargetStore, sentences: int, labels: int) -> measure.Row:
    """Fills a store as training does, by a teacher, which has its own labels."""
    del labels
    archives = Archives(TEACHER, store)
    # Loads the teacher.
    score_missing(archives, [sentence(-1)], torch.device("cpu"))
    started = time.perf_counter()
    score_missing(archives, map(sentence, range(sentences)), torch.device("cpu"))
    seconds = time.perf_counter() - started
    tokens = sum(len(sentence(i)[0]) for i in range(sentences))
    return {"tokens": tokens, "sentences_a_second": sentences / seconds}


def resident(kind: str) -> float:
    """In MiB: RssAnon, what the process holds, or RssFile, pages of files, which are reclaimed."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


FILLED = {"put": put, "filled": fill}


def child(kind: str, sentences: int, half: bool, labels: int, directory: str) -> None:
    """Prints what becomes of one store, as JSON."""
    store = TargetStore(directory, "float16" if half else "float32")
    result = FILLED[kind](store, sentences, labels)
    result.update(bytes=store.size(), held_mib=resident("RssAnon"), mapped_mib=resident("RssFile"))
    print(json.dumps(result))


def stores(args: argparse.Namespace) -> Iterator[measure.Row]:
    for kind, sizes in (("put", STORE_SIZES), ("filled", FILL_SIZES)):
        for sentences in sizes[:2] if args.quick else sizes:
            measure.note(f"a target store of {sentences:,} sentences, {kind}")
            with tempfile.TemporaryDirectory(dir=args.directory) as directory:
                command = [sys.executable, __file__, "--store", kind, str(sentences), directory]
                command += ["--threads", str(args.threads), *["--half"] * args.half]
                command += ["--labels", str(args.labels)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(f"a store could not be made:\n{done.stderr[-3000:]}")
            result = json.loads(done.stdout.splitlines()[-1])
            yield {
                "kind": kind,
                "sentences": sentences,
                "half": args.half,
                "labels": args.labels,
                **result,
            }


def tables(chain_rows: Sequence[measure.Row], store_rows: Sequence[measure.Row]) -> str:
    result = []
    for axis in dict.fromkeys(row["axis"] for row in chain_rows):
        here = [row for row in chain_rows if row["axis"] == axis]
        sizes = list(dict.fromkeys(row["size"] for row in here))
        lines = [
            [
                title,
                *(
                    f"{1000 * row['median']:.2f}"
                    for row in sorted(here, key=lambda row: row["size"])
                    if row["operation"] == title
                ),
            ]
            for title in dict.fromkeys(row["operation"] for row in here)
        ]
        header = [f"milliseconds, by {axis}", *map(str, sizes)]
        result.append(measure.table(header, lines))
    if store_rows:
        header = ["store", "sentences", "MB", "bytes a token", "written a second"]
        header += ["read a second", "memory held, MiB", "pages of files, MiB"]
        result.append(measure.table(header, [_store_line(row) for row in store_rows]))
    return "\n\n".join(result) + "\n"


def _store_line(row: measure.Row) -> List[str]:
    reads = f"{row['reads_a_second']:,.0f}" if "reads_a_second" in row else ""
    return [
        f"{row['kind']}{', half precision' if row['half'] else ''}",
        f"{row['sentences']:,}",
        f"{row['bytes'] / 1e6:,.1f}",
        f"{row['bytes'] / row['tokens']:.0f}",
        f"{row['sentences_a_second']:,.0f}",
        reads,
        f"{row['held_mib']:.0f}",
        f"{row['mapped_mib']:.0f}",
    ]


def main() -> None:
    parser = measure.parser(__doc__, "growth", rounds=10)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--half", action="store_true", help="stores of half precision")
    parser.add_argument(
        "--labels", type=measure.positive, default=LABELS, help="of stores (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="only the smaller sizes")
    parser.add_argument("--directory", default="out", help="for the stores (default: %(default)s)")
    # One store, in a process of its own.
    parser.add_argument("--store", nargs=3, help=argparse.SUPPRESS)
    args = measure.parse(parser)
    if args.store:
        kind, sentences, directory = args.store
        child(kind, int(sentences), args.half, args.labels, directory)
        return
    if "store" in args.parts and not Path(args.directory).is_dir():
        raise ConfigurationError(
            f"--directory {args.directory} is no directory: name one on a disk with 3 GB to spare"
        )
    environment = measure.environment(args.threads)
    chain_rows = list(chains(args.rounds, args.quick)) if "chains" in args.parts else []
    store_rows = list(stores(args)) if "store" in args.parts else []
    print(tables(chain_rows, store_rows))
    measure.write(args.output, "growth", environment, chains=chain_rows, stores=store_rows)


if __name__ == "__main__":
    main()
