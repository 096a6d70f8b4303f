"""
Compares ways to train a student on a real corpus: trains a teacher for each language and then each
row and seed, evaluates all on the test files and on languages that none was trained on, and prints
a table in Markdown. Everything lies in out/TASK; what is there already is not done again.

    python scripts/compare.py ud
    python scripts/compare.py ud --rows baseline structural_kd --seeds 1 2 --epochs 10 --jobs 2
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("out")


class Task(NamedTuple):
    languages: List[str]
    test: str
    zero_shot: Dict[str, str]
    metric: str


TASKS = {
    "ud": Task(
        ["en", "fr", "it", "sv"],
        "data/ud/{}/test.conllu",
        {x: f"data/ud/zero_shot/{x}/test.conllu" for x in ("gl", "nn", "hr")},
        "accuracy",
    ),
    "wikiann": Task(
        ["de", "en", "nl"],
        "data/wikiann/{}/test",
        {"pt": "data/wikiann/zero_shot/pt/test"},
        "f1-measure",
    ),
    "conll2002": Task(["es", "nl"], "data/conll2002/{}/testb", {}, "f1-measure"),
    "aspect": Task(
        ["en", "es", "nl", "ru", "tr"], "data/aspect/semeval2016/{}/test.xml", {}, "f1-measure"
    ),
}

Scores = Dict[str, float]
"""By language, in percent."""


def allennlp(*arguments: str, log: Path) -> None:
    command = ["allennlp", *arguments, "--include-package", "structkd_allennlp"]
    print(f"{time.strftime('%H:%M:%S')} $ {shlex.join(command)}", file=sys.stderr, flush=True)
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run([sys.executable, "-m", *command], stdout=file, stderr=file)
    if done.returncode:
        raise RuntimeError(f"a command failed; what it printed is in {log}: {shlex.join(command)}")


def train(config: str, directory: Path, overrides: Dict[str, Any]) -> None:
    # An interrupted run leaves an archive too, but its final metrics it writes only at the end.
    if all((directory / name).exists() for name in ("metrics.json", "model.tar.gz")):
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    allennlp(
        "train",
        f"training_configs/{config}.jsonnet",
        "-s",
        str(directory),
        # What is there is a run that did not finish.
        "--force",
        "--overrides",
        json.dumps(overrides),
        log=directory.with_name(f"{directory.name}.train.log"),
    )


def evaluate(directory: Path, files: Dict[str, str], metric: str) -> Scores:
    outputs = {language: directory / f"test.{language}.json" for language in files}
    if not all(output.exists() for output in outputs.values()):
        allennlp(
            "evaluate",
            str(directory / "model.tar.gz"),
            ",".join(f"{language}={path}" for language, path in files.items()),
            "--output-file",
            ",".join(map(str, outputs.values())),
            log=directory / "evaluate.log",
        )
    return {
        language: 100 * json.loads(output.read_text(encoding="utf-8"))[f"{metric}/{language}"]
        for language, output in outputs.items()
    }


class Comparison:
    def __init__(self, name: str) -> None:
        self.name = name
        self.task = TASKS[name]
        self.tests = {x: self.task.test.format(x) for x in self.task.languages}

    def teacher(self, kind: str, language: str) -> Scores:
        directory = OUT / self.name / f"{kind}s" / language
        train(f"{self.name}/{kind}", directory, {"dataset_reader.languages": [language]})
        files = {language: self.tests[language], **self.task.zero_shot}
        return evaluate(directory, files, self.task.metric)

    def student(self, row: str, seed: Optional[int], epochs: Optional[int]) -> Scores:
        overrides: Dict[str, Any] = {}
        directory = row
        if epochs is not None:
            directory += f".epochs{epochs}"
            overrides["trainer.num_epochs"] = epochs
            if row not in ("baseline", "softmax_student"):
                overrides["model.interpolation.epochs"] = epochs
        if seed is not None:
            directory += f".seed{seed}"
            overrides.update({f"{x}_seed": seed for x in ("random", "numpy", "pytorch")})
        path = OUT / self.name / directory
        train(f"{self.name}/{row}", path, overrides)
        return evaluate(path, {**self.tests, **self.task.zero_shot}, self.task.metric)

    def line(self, title: str, runs: List[Scores]) -> str:
        cells = []
        for languages in (self.task.languages, list(self.task.zero_shot)):
            columns = [[run[language] for run in runs] for language in languages]
            means = [statistics.fmean(run[x] for x in languages) for run in runs if languages]
            cells += [*columns, means] if languages else []
        return f"| {title} | {' | '.join(map(_cell, cells))} |"

    def header(self) -> str:
        columns = [*self.task.languages, "mean"]
        columns += [*self.task.zero_shot, "zero-shot mean"] if self.task.zero_shot else []
        return f"| | {' | '.join(columns)} |\n|---{'|---:' * len(columns)}|"


def _cell(values: List[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def _merged(teachers: List[Scores]) -> Scores:
    """Each language by its own teacher, and the others by all of them, on average."""
    languages = {language for scores in teachers for language in scores}
    return {x: statistics.fmean(s[x] for s in teachers if x in s) for x in languages}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--rows", nargs="+", default=["baseline", "posterior_kd"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[None])
    parser.add_argument("--epochs", type=int, help="of the students; as configured by default")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time")
    args = parser.parse_args()
    os.chdir(ROOT)
    if args.jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.jobs)))
    comparison = Comparison(args.task)

    softmax_rows = {"token_kd", "weaker_teachers"}
    kinds = ["teacher"] + ["softmax_teacher"] * bool(softmax_rows & set(args.rows))
    lines = [comparison.header()]
    with ThreadPoolExecutor(args.jobs) as pool:
        for kind in kinds:
            teachers = list(
                pool.map(lambda x, k=kind: comparison.teacher(k, x), comparison.task.languages)
            )
            lines.append(comparison.line(f"{kind}s", [_merged(teachers)]))
        runs = {
            (row, seed): pool.submit(comparison.student, row, seed, args.epochs)
            for seed in args.seeds
            for row in args.rows
        }
        for row in args.rows:
            scores = [runs[row, seed].result() for seed in args.seeds]
            lines.append(comparison.line(row, scores))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
