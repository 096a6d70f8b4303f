"""
What `structkd serve` bears: many clients at once on loopback, each sending a sentence as soon as it
has the answer to the last. Requests a second, latency, errors, and the memory of the server from
the first thousand requests to the last one.

    python benchmarks/server.py MODEL --output out/benchmarks/server.json
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import measure
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.serving.formats import Conllu
from structkd_allennlp.serving.input_files import InputFile

WARM_UP = 1000
"""Requests, before memory is looked at: pools and caches have filled by then."""


class Load(NamedTuple):
    """What clients do, together, until both the time and the requests are over."""

    clients: int
    seconds: float
    requests: int


class Outcome:
    """Of all requests so far."""

    def __init__(self) -> None:
        self.seconds: List[float] = []
        self.errors: Dict[str, int] = {}
        self.memory: List[Tuple[int, int]] = []
        self.elapsed = self.processor = 0.0

    def error(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1

    @property
    def requests(self) -> int:
        return len(self.seconds) + sum(self.errors.values())


@contextmanager
def serving(model: str, threads: int) -> Iterator[Tuple[int, int]]:
    """The number of the process of a server, and its port."""
    command = [sys.executable, "-m", "structkd_allennlp.serving.cli", "serve", model]
    options = ["--port", "0", "--threads", str(threads)]
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())
        if found is None:
            raise ConfigurationError(f"{model} cannot be served, for the reason above")
        yield server.pid, int(found[1])
    finally:
        server.terminate()
        server.wait()


def resident(pid: int) -> int:
    """In bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def processor_seconds(pid: int) -> float:
    """What the process has used, on all cores."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def request(text: str, marginals: bool) -> bytes:
    body = json.dumps({"sentences": [text], "marginals": marginals}).encode()
    head = "POST /api/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> Tuple[int, bytes]:
    """Its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))


async def client(
    port: int, requests: Iterator[bytes], load: Load, until: float, outcome: Outcome
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until or outcome.requests < load.requests:
        begun = time.perf_counter()
        try:
            writer.write(next(requests))
            status, body = await asyncio.wait_for(answer(reader), 60)
        except (TimeoutError, OSError, EOFError) as error:
            outcome.error(type(error).__name__)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        if status == 200 and body.startswith(b'{"model"'):
            outcome.seconds.append(time.perf_counter() - begun)
        else:
            outcome.error(str(status))
    writer.close()


async def watch(pid: int, outcome: Outcome) -> None:
    while True:
        outcome.memory.append((outcome.requests, resident(pid)))
        await asyncio.sleep(0.5)


async def run(pid: int, port: int, texts: List[bytes], load: Load) -> Outcome:
    requests = itertools.cycle(texts)
    warm = Outcome()
    await asyncio.gather(*(client(port, requests, Load(8, 0, WARM_UP), 0, warm) for _ in range(8)))
    outcome = Outcome()
    watcher = asyncio.ensure_future(watch(pid, outcome))
    begun, used = time.perf_counter(), processor_seconds(pid)
    until = begun + load.seconds
    await asyncio.gather(
        *(client(port, requests, load, until, outcome) for _ in range(load.clients))
    )
    outcome.elapsed = time.perf_counter() - begun
    outcome.processor = processor_seconds(pid) - used
    watcher.cancel()
    outcome.memory.append((outcome.requests, resident(pid)))
    return outcome


def sentences(path: str) -> List[str]:
    """Of a treebank, as text."""
    records = Conllu().read(InputFile(path).lines())
    found = [" ".join(r.request.sentence) for r in records if r.request is not None]
    if not found:
        raise ConfigurationError(f"{path} holds no sentence: name a file in CoNLL-U")
    return found


def row(outcome: Outcome, load: Load) -> Dict[str, Any]:
    ordered = sorted(outcome.seconds)
    if not ordered:
        raise RuntimeError(f"not a single answer, but {outcome.errors}")
    (_, start), (_, end) = outcome.memory[0], outcome.memory[-1]
    return {
        "clients": load.clients,
        "seconds": outcome.elapsed,
        "requests": outcome.requests,
        "errors": outcome.errors,
        "requests_per_second": len(ordered) / outcome.elapsed,
        "processor_per_request": outcome.processor / outcome.requests,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
        "slowest": ordered[-1],
        "memory_start": start,
        "memory_end": end,
        "memory": outcome.memory,
    }


def table(result: Dict[str, Any]) -> str:
    header = ["clients", "requests", "errors", "a second", "CPU ms each"]
    header += ["p50 ms", "p99 ms", "slowest ms", "MB at start", "MB at end"]
    cells = [
        str(result["clients"]),
        f"{result['requests']:,}",
        f"{sum(result['errors'].values()):,}",
        f"{result['requests_per_second']:,.0f}",
        f"{1000 * result['processor_per_request']:.2f}",
        *(f"{1000 * result[name]:.1f}" for name in ("p50", "p99", "slowest")),
        *(f"{result[name] / 1e6:,.1f}" for name in ("memory_start", "memory_end")),
    ]
    return measure.table(header, [cells])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a directory that `allennlp export-tagger` has written")
    add("--output", type=Path, default=Path("out/benchmarks/server.json"))
    add("--text", default="data/ud/en/test.conllu", help="sentences to send, in CoNLL-U")
    add("--clients", type=measure.positive, default=64, help="default: %(default)s")
    add("--seconds", type=measure.positive, default=60, help="at least; default: %(default)s")
    add("--requests", type=int, default=100_000, help="at least; default: %(default)s")
    add("--threads", type=measure.positive, default=1, help="of the model; default: %(default)s")
    add("--marginals", action="store_true", help="ask for the probability of every label")
    args = parser.parse_args()
    measure.check_output(args.output)
    texts = [request(text, args.marginals) for text in sentences(args.text)]
    load = Load(args.clients, args.seconds, args.requests)
    environment = measure.environment(args.threads)
    with serving(args.model, args.threads) as (pid, port):
        outcome = asyncio.run(run(pid, port, texts, load))
    result = row(outcome, load)
    print(table(result))
    measure.write(args.output, "server", environment, rows=[result])


if __name__ == "__main__":
    main()
