"""
How the memory of filling a target store grows with the corpus: fills stores with made-up sentences
from one of the fixtures' teachers, each in a process of its own, and prints the memory that is
resident (Linux).

    python benchmarks/target_store_memory.py
"""

import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, List, Tuple

import torch

from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import TeacherSources

SIZES = [1_000, 10_000, 50_000, 100_000]


def sentences(n: int) -> Iterator[Tuple[List[str], str]]:
    rng = random.Random(0)
    for _ in range(n):
        yield [f"w{rng.randrange(10**6)}" for _ in range(rng.randint(3, 37))], "en"


def resident(kind: str) -> float:
    """In MiB: RssAnon, what the process holds, or RssFile, pages of files, which are reclaimed."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


def fill(n: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        store = TargetStore(directory)
        sources = TeacherSources("fixtures/teachers/en.tar.gz", store)
        sources.fill(sentences(100), torch.device("cpu"))
        started = time.monotonic()
        sources.fill(sentences(n), torch.device("cpu"))
        seconds = time.monotonic() - started
        tokens = sum(len(words) for words, _ in sentences(n))
        size, held, mapped = store.size(), resident("RssAnon"), resident("RssFile")
        print(
            f"| {n:,} | {held:.0f} | {mapped:.0f} | {size / 1e6:.1f} | {size / tokens:.0f} | "
            f"{n / seconds:.0f} |"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fill(int(sys.argv[1]))
    else:
        print(
            "| sentences | held, MiB | file pages, MiB | store, MB | bytes a token | sentences/s |"
        )
        print("|---:|---:|---:|---:|---:|---:|")
        for size in SIZES:
            sys.stdout.flush()
            subprocess.run([sys.executable, __file__, str(size)], stderr=subprocess.DEVNULL)
