"""
`python benchmarks/cluster.py targets`: a target store filled by one process and on a cluster, what
the process that reads and stores can do by itself, and what reading would cost if the workers'
parts were stores of their own.
"""

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Sequence, Set, Tuple

import measure
import numpy
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import lazy_groups_of
from allennlp.data import DatasetReader

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation.store_files import open_store
from structkd_allennlp.distillation.target_store import TargetStore, entries_of

CONFIG = "training_configs/posterior_kd.jsonnet"
SENTENCES_A_PART = 800
LABELS = 17
SHARDS = [1, 2, 8]
READS = 5_000

Nodes = Callable[[int], ContextManager[str]]


def targets(args: argparse.Namespace, nodes: Nodes) -> None:
    rows: List[measure.Row] = []
    digests: Set[str] = set()
    with tempfile.TemporaryDirectory(dir=args.directory) as name:
        for count in (1, args.sentences):
            _write_text(Path(args.input), Path(name, f"{count}.txt"), count)
        for workers in [0, *args.workers]:
            for _ in range(args.rounds):
                if workers:
                    with nodes(workers) as address:
                        options = ["--executor", "ray", "--address", address]
                        row, digest = _filled(args, Path(name), options)
                else:
                    row, digest = _filled(args, Path(name), [])
                digests.add(digest)
                rows.append({"executor": f"Ray, {workers}" if workers else "local", **row})
                measure.note(f"{rows[-1]['executor']}: {row['rate']:,.0f} sentences a second")
        alone = list(_alone(Path(name, f"{args.sentences}.txt"), min(args.sentences, 50_000)))
    if len(digests) > 1:
        raise RuntimeError("not all stores have the same entries, to the byte")
    print(_tables(rows, alone))
    environment = measure.environment(args.threads)
    measure.write(args.output, "cluster targets", environment, runs=rows, alone=alone)


def _write_text(source: Path, target: Path, count: int) -> None:
    """Real lines, and then again with a word that makes them others."""
    lines = source.read_text(encoding="utf-8").splitlines()
    with target.open("w", encoding="utf-8") as file:
        for i, line in enumerate(islice(cycle(lines), count)):
            words = " ".join(line.split()) or "."
            file.write(f"{words} {i // len(lines)}\n" if i >= len(lines) else f"{words}\n")


def _overrides(args: argparse.Namespace, text: Path, store: Path) -> Dict[str, Any]:
    return {
        "train_data_path": [{"unlabelled": {"en": str(text)}}],
        "model.teachers": {"en": args.teacher},
        "model.target_store": {"directory": str(store)},
    }


def _filled(
    args: argparse.Namespace, directory: Path, options: Sequence[str]
) -> Tuple[measure.Row, str]:
    """A measurement, and the digest of all entries."""
    seconds: Dict[int, float] = {}
    for count in (1, args.sentences):
        with tempfile.TemporaryDirectory(dir=directory) as store:
            values = _overrides(args, directory / f"{count}.txt", Path(store))
            command = ["distillation-targets", CONFIG, "--overrides", json.dumps(values), *options]
            seconds[count], memory = _watched(command)
            size, digest, entries = TargetStore(store).size(), hashlib.sha256(), 0
            for key, record in TargetStore(store).entries():
                digest.update(key + record)
                entries += 1
            open_store(os.path.abspath(store)).environment.close()
    row: measure.Row = {
        "sentences": entries,
        "seconds": seconds[args.sentences],
        "seconds_of_one": seconds[1],
        # Without what it takes to start.
        "rate": entries / (seconds[args.sentences] - seconds[1]),
        "bytes": size,
        "load": os.getloadavg()[0],
    }
    for who in ("driver", "worker"):
        samples = memory[who] or [0]
        middle = len(samples) // 2
        row[who] = [max(samples[:middle], default=0), max(samples[middle:])]
    return row, digest.hexdigest()


def _watched(arguments: Sequence[str]) -> Tuple[float, Dict[str, List[int]]]:
    """
    The seconds that `allennlp` takes and, twice a second, the bytes that it and the largest of
    Ray's workers hold. Pages of files, such as those of the store, are the system's.
    """
    memory: Dict[str, List[int]] = {"driver": [], "worker": []}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "allennlp", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory["driver"].append(_held(process.pid))
            workers = [_held(pid) for pid in _workers()]
            if workers:
                memory["worker"].append(max(workers))
            time.sleep(0.5)
        if process.returncode:
            log.seek(0)
            raise ConfigurationError(f"allennlp {arguments[0]} failed:\n{log.read()[-3000:]}")
    return time.perf_counter() - started, memory


def _held(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        # It has ended.
        return 0
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0


def _workers() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Scorer"):
                yield int(path.parent.name)
        except OSError:
            continue


def _alone(text: Path, count: int) -> Iterator[measure.Row]:
    """The driver's own work, a step at a time, and reading from shards."""
    reader = DatasetReader.from_params(Params.from_file(CONFIG)["dataset_reader"])
    started = time.perf_counter()
    path: Any = [{"unlabelled": {"en": str(text)}}]
    sentences = list(map(sentence_of, islice(reader.read(path), count)))
    yield _step("reading sentences", len(sentences), started)
    sentences = list(dict.fromkeys(Sentence(tuple(x.words), x.language) for x in sentences))
    generator = numpy.random.default_rng(0)
    for shards in SHARDS:
        with tempfile.TemporaryDirectory(dir=text.parent) as directory:
            stores = [TargetStore(str(Path(directory, str(i)))) for i in range(shards)]
            storing = 0.0
            for i, group in enumerate(lazy_groups_of(sentences, SENTENCES_A_PART)):
                made = [
                    (one, generator.normal(size=(len(one.words), LABELS)).astype(numpy.float32))
                    for one in group
                ]
                entries = entries_of("teacher", made, stores[0].encoding)
                started = time.perf_counter()
                stores[i % shards].add(entries)
                storing += time.perf_counter() - started
            if shards == 1:
                yield {"step": "storing parts", "rate": len(sentences) / storing}
                started = time.perf_counter()
                for one in sentences[:READS]:
                    stores[0].get("another", one, LABELS)
                yield _step("looking up what is missing", min(READS, len(sentences)), started)
            chosen = random.Random(0)
            wanted = [chosen.choice(sentences) for _ in range(READS)]
            started = time.perf_counter()
            for one in wanted:
                if all(store.get("teacher", one, LABELS) is None for store in stores):
                    raise RuntimeError(f"the store lacks what was put into it: {one}")
            yield _step(f"reading at random, {shards} shards", READS, started)


def _step(name: str, count: int, started: float) -> measure.Row:
    return {"step": name, "rate": count / (time.perf_counter() - started)}


def _tables(rows: Sequence[measure.Row], alone: Sequence[measure.Row]) -> str:
    lines = []
    for executor in dict.fromkeys(row["executor"] for row in rows):
        own = [row for row in rows if row["executor"] == executor]
        median = {
            name: measure.summary([row[name] for row in own])["median"]
            for name in ("seconds", "seconds_of_one", "rate")
        }
        held = [
            f"{max(row[who][half] for row in own) / 1e6:,.0f}"
            for who in ("driver", "worker")
            for half in (0, 1)
        ]
        lines.append(
            [
                f"{executor}",
                f"{own[0]['sentences']:,}",
                f"{median['seconds']:,.1f}",
                f"{median['seconds_of_one']:.1f}",
                f"{median['rate']:,.0f}",
                *held,
            ]
        )
    header = ["executor, workers", "sentences", "s", "s for one", "sentences a second"]
    header += [f"{who}, MB, {half} half" for who in ("driver", "worker") for half in ("1st", "2nd")]
    steps = [[row["step"], f"{row['rate']:,.0f}"] for row in alone]
    return (
        f"{measure.table(header, lines)}\n\n"
        f"{measure.table(['one process, by itself', 'sentences a second'], steps)}\n"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher", default="fixtures/teachers/en.tar.gz", help="default: %(default)s"
    )
    parser.add_argument("--directory", help="for text and stores (default: the system's)")
