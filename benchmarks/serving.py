"""
The exported tagger of a student, in float32 and int8, beside the ways that the archive has to tag
(our predictor, AllenNLP's own tagger with its weights) and beside taggers that others would use,
trained on the same sentences: accuracy or F1, size, start, memory, sentences a second and latency,
each in a process of its own, on one thread, from words to tags. Then whole commands: `structkd tag`
and `allennlp predict`.

    python benchmarks/serving.py --task ud --student student/model.tar.gz
    python benchmarks/serving.py --task wikiann --student student/model.tar.gz

spaCy's pipeline (a tagger, or its recogniser of entities) is trained here, in some minutes. So is
UDPipe's tagger where --udpipe names a Python that has it:
python -m venv /tmp/udpipe && /tmp/udpipe/bin/pip install --no-deps ufal.udpipe
With --peers they stay in a folder, and are trained once; with --train-only nothing is measured.

`structkd tag` also runs where it is meant to, without AllenNLP and PyTorch, if --serving names the
Python of such an environment, which docs/serving.md makes.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import measure
import prediction
from server import resident
from serving_contenders import Example
from serving_peers import SCRIPT, Peers, Task, write

from structkd_allennlp.registrables import UniversalDependenciesPosReader, WikiAnnReader
from structkd_allennlp.serving.export.exporter import export_tagger
from structkd_allennlp.training.metrics import score, sentence_counts

FLOAT, INT8 = "exported", "exported, int8"


TASKS = {
    "ud": Task(
        "data/ud/{language}/{part}.conllu", UniversalDependenciesPosReader(), "accuracy", "tagger"
    ),
    "wikiann": Task("data/wikiann/{language}/{part}", WikiAnnReader(), "F1", "ner"),
}


class Choice(NamedTuple):
    """
    # Parameters

    title : `str`
    kind : `str`
        As `serving_contenders` names it.
    path : `Path`
        Of its model.
    python : `str`
        What runs it.
    """

    title: str
    kind: str
    path: Path
    python: str = sys.executable


class Process:
    """A contender that waits for what it is told. The seconds until it had tagged a sentence."""

    def __init__(self, choice: Choice, data: Path) -> None:
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [choice.python, str(SCRIPT), choice.kind, str(choice.path), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()
        self.start = time.perf_counter() - started

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended, for the reason above")
        return line

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return json.loads(self._answer())

    @property
    def bytes(self) -> int:
        return resident(self._process.pid)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()


def scores(
    sentences: Sequence[Example], tags: Sequence[Sequence[str]], spans: bool
) -> Dict[str, float]:
    """By language, and the mean of these, in percent."""
    counts: Dict[str, List[List[int]]] = {}
    for example, own in zip(sentences, tags, strict=True):
        found = sentence_counts(own, example.tags, spans)
        counts.setdefault(example.language or "", []).append(found)
    result = {
        language: 100 * float(score([sum(column) for column in zip(*own, strict=True)]))
        for language, own in counts.items()
    }
    return {**result, "mean": sum(result.values()) / len(result)}


def size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def contenders(
    choices: Sequence[Choice],
    test: Sequence[Example],
    spans: bool,
    data: Path,
    rounds: int,
    singles: int,
) -> List[measure.Row]:
    starts: Dict[str, List[float]] = {choice.title: [] for choice in choices}
    for round_ in range(rounds):
        for choice in list(choices)[:: -1 if round_ % 2 else 1]:
            with Process(choice, data) as process:
                starts[choice.title].append(process.start)
    with ExitStack() as stack:
        processes = {choice.title: stack.enter_context(Process(choice, data)) for choice in choices}
        memory = {title: process.bytes for title, process in processes.items()}
        tags = {}
        for title, process in processes.items():
            process.ask("warm")
            tags[title] = process.ask("tags")
        seconds: Dict[str, List[float]] = {title: [] for title in processes}
        alone: Dict[str, List[float]] = {title: [] for title in processes}
        for round_ in range(rounds):
            for title in list(processes)[:: -1 if round_ % 2 else 1]:
                process = processes[title]
                process.ask("warm")
                seconds[title].append(process.ask("all"))
                process.ask("warm")
                # One after the other, as from somebody who uses one tagger.
                some = range(0, len(test), max(len(test) // singles, 1))
                alone[title] += [process.ask(f"one {i}") for i in some]
        rows = []
        for choice in choices:
            title = choice.title
            median = measure.summary(seconds[title])["median"]
            rows.append(
                {
                    "title": title,
                    "bytes": size(choice.path),
                    "start": measure.summary(starts[title]),
                    "resident_after_start": memory[title],
                    "resident": processes[title].bytes,
                    "sentences_a_second": len(test) / median,
                    "words_a_second": sum(len(one.words) for one in test) / median,
                    "seconds": measure.summary(seconds[title]),
                    "latency": measure.summary(alone[title]),
                    "scores": scores(test, tags[title], spans),
                }
            )
        same = sum(a == b for a, b in zip(tags[FLOAT], tags["predictor"], strict=True))
        if same != len(test):
            raise RuntimeError(f"the exported tagger tags {len(test) - same} sentences otherwise")
        return rows


def commands(
    archive: str,
    exported: Path,
    test: Sequence[Example],
    lines: int,
    rounds: int,
    serving: Optional[str],
) -> List[measure.Row]:
    """
    Seconds and the most memory of whole commands, on one line and on many; `serving` is the Python
    of an environment of its own.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "output")
        programs: Dict[Tuple[str, int], List[str]] = {}
        for count in (1, lines):
            data = Path(name, f"{count}.jsonl")
            repeated = itertools.islice(itertools.cycle(test), count)
            write(data, [one._replace(tags=[]) for one in repeated])
            tag = [
                "structkd_allennlp.serving.cli", "tag", str(exported), str(data), "--threads", "1",
                "-o", str(output),
            ]  # fmt: skip
            programs["structkd tag", count] = [sys.executable, "-m", *tag]
            if serving is not None:
                programs["structkd tag, its own environment", count] = [serving, "-m", *tag]
            programs["allennlp predict", count] = [
                sys.executable, "-m", "allennlp", "predict", archive, str(data), "--predictor",
                "structured_tagger", "--silent", "--batch-size", str(prediction.BATCH_SIZE),
                "--output-file", str(output), "--include-package", "structkd_allennlp",
            ]  # fmt: skip
        # On one line and on many in turns, as the one is taken from the other.
        for round_ in range(rounds):
            for (program, count), command in list(programs.items())[:: -1 if round_ % 2 else 1]:
                seconds, peak = _watched(command)
                output.unlink()
                rows.append(
                    {"program": program, "lines": count, "seconds": seconds, "resident": peak}
                )
    return rows


def _watched(command: Sequence[str]) -> Tuple[float, int]:
    """The seconds that it takes, and the most resident bytes that were seen."""
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            # Not what the system says at the end, which counts this process before the other began.
            with suppress(OSError, AssertionError):
                peak = max(peak, resident(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{log.read()[-3000:]}")
    return seconds, peak


def tables(results: Dict[str, Any]) -> str:
    metric = results["metric"]
    lines = [
        [
            row["title"],
            f"{row['scores']['mean']:.2f}",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['start']['median']:.2f}",
            f"{row['resident_after_start'] / 1e6:,.0f}",
            f"{row['resident'] / 1e6:,.0f}",
            f"{row['sentences_a_second']:,.0f}",
            f"{row['words_a_second']:,.0f}",
            f"{1000 * row['latency']['median']:.2f}",
        ]
        for row in results["rows"]
    ]
    header = [
        "", metric, "MB on disk", "s to start", "MB then", "MB later", "sentences a second",
        "words a second", "ms for one",
    ]  # fmt: skip
    languages = [name for name in results["rows"][0]["scores"] if name != "mean"]
    by_language = [
        [row["title"], *(f"{row['scores'][name]:.2f}" for name in languages)]
        for row in results["rows"]
    ]
    found = [
        measure.table(header, lines),
        measure.table([metric, *languages], by_language),
    ]
    whole = []
    for program, count in dict.fromkeys(
        (row["program"], row["lines"]) for row in results["commands"]
    ):
        own = [
            row for row in results["commands"] if (row["program"], row["lines"]) == (program, count)
        ]
        median = measure.summary([row["seconds"] for row in own])["median"]
        peak = max(row["resident"] for row in own)
        whole.append([program, f"{count:,}", f"{median:.2f}", f"{peak / 1e6:,.0f}"])
    found.append(measure.table(["the command", "lines", "s", "MB at most"], whole))
    return "\n\n".join(found) + "\n"


def main() -> None:
    parser = measure.parser(__doc__, "serving", rounds=5)
    add = parser.add_argument
    add("--task", choices=TASKS, default="ud", help="default: %(default)s")
    add("--student", required=True, help="the archive of a tagger of this task")
    add("--languages", nargs="+", help="by default those of the student")
    add("--sentences", type=measure.positive, help="of a language, at most")
    add("--singles", type=measure.positive, default=200, help="how many to tag one by one")
    add("--lines", type=measure.positive, default=20_000, help="for whole commands")
    add("--spacy-epochs", type=int, default=10, help="0 leaves it out; default: %(default)s")
    add("--udpipe", metavar="PYTHON", help="an interpreter with ufal.udpipe, for ud")
    add("--udpipe-iterations", type=measure.positive, default=20, help="default: %(default)s")
    add("--serving", metavar="PYTHON", help="of an environment for structkd alone")
    add("--peers", type=Path, help="a folder for what is trained here, of one task")
    add("--train-only", action="store_true", help="measure nothing")
    args = measure.parse(parser)
    environment = measure.environment(args.threads)
    results = run(args, environment)
    if results is not None:
        print(tables(results))


def trained_peers(
    args: argparse.Namespace, task: Task, languages: Sequence[str], directory: Path
) -> List[Choice]:
    peers = Peers(directory, task, languages, args.sentences)
    choices = []
    if args.spacy_epochs:
        path = peers.spacy(args.spacy_epochs)
        choices.append(Choice(f"spaCy, {task.pipe}", f"spacy-{task.pipe}", path))
    if args.udpipe:
        path = peers.udpipe(args.udpipe, args.udpipe_iterations)
        choices.append(Choice("UDPipe 1", "udpipe", path, args.udpipe))
    return choices


def run(args: argparse.Namespace, environment: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    task = TASKS[args.task]
    prediction.check_files([args.student])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        export_tagger(args.student, directory / "float")
        description = json.loads((directory / "float/tagger.json").read_text(encoding="utf-8"))
        languages = args.languages or description["info"]["languages"]
        peers = trained_peers(args, task, languages, args.peers or directory / "peers")
        if args.train_only:
            return None
        export_tagger(args.student, directory / "int8", "int8")
        archive = Path(args.student)
        choices = [
            Choice(FLOAT, "exported", directory / "float"),
            Choice(INT8, "exported", directory / "int8"),
            Choice("predictor", "predictor", archive),
            Choice("AllenNLP's crf_tagger", "allennlp", archive),
            *peers,
        ]
        test = task.examples("test", languages, args.sentences)
        data = write(directory / "test.jsonl", test)
        rows = contenders(choices, test, task.spans, data, args.rounds, args.singles)
        whole = commands(
            args.student, directory / "float", test, args.lines, args.rounds, args.serving
        )
    results = {"metric": task.metric, "rows": rows, "commands": whole}
    measure.write(args.output, "serving", environment, languages=languages, **results)
    return results


if __name__ == "__main__":
    main()
