"""
The whole comparison on a real corpus: trains a teacher for each language, the baseline and the
student by posterior distillation, evaluates all on the test files and on languages that none was
trained on, and prints a table in Markdown. Everything lies in out/TASK; what is there already is
not done again.

    python scripts/first_run.py ud
    python scripts/first_run.py wikiann
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

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
}


def allennlp(*arguments: str, log: Path) -> None:
    command = ["allennlp", *arguments, "--include-package", "structkd_allennlp"]
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run([sys.executable, "-m", *command], stdout=file, stderr=file)
    if done.returncode:
        sys.exit(f"the command above failed; what it printed is in {log}")


def train(config: str, directory: Path, *more: str) -> None:
    if (directory / "model.tar.gz").exists():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    # --force: what is there is a run that did not finish.
    log = directory.with_name(f"{directory.name}.train.log")
    allennlp(
        "train",
        f"training_configs/{config}.jsonnet",
        "-s",
        str(directory),
        "--force",
        *more,
        log=log,
    )


def evaluate(directory: Path, files: Dict[str, str], metric: str) -> Dict[str, float]:
    """By language, in percent."""
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


def row(name: str, scores: Dict[str, float], task: Task, size: float) -> str:
    trained = [scores[x] for x in task.languages]
    zero_shot = [scores[x] for x in task.zero_shot]
    means = [sum(values) / len(values) for values in (trained, zero_shot)]
    cells = [*trained, means[0], *zero_shot, means[1]]
    return f"| {name} | {' | '.join(f'{x:.2f}' for x in cells)} | {size / 1e6:.1f} |"


def size_of(directory: Path) -> int:
    return (directory / "model.tar.gz").stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    parser.add_argument("task", choices=TASKS)
    name = parser.parse_args().task
    task = TASKS[name]
    os.chdir(ROOT)
    tests = {x: task.test.format(x) for x in task.languages}

    teachers: Dict[str, float] = {}
    abroad: Dict[str, List[float]] = {x: [] for x in task.zero_shot}
    teachers_size = 0
    for language in task.languages:
        directory = OUT / name / "teachers" / language
        languages = json.dumps({"dataset_reader.languages": [language]})
        train(f"{name}_teacher", directory, "--overrides", languages)
        files = {language: tests[language], **task.zero_shot}
        scores = evaluate(directory, files, task.metric)
        teachers[language] = scores.pop(language)
        for other, score in scores.items():
            abroad[other].append(score)
        teachers_size += size_of(directory)
    teachers.update({x: sum(scores) / len(scores) for x, scores in abroad.items()})

    rows = [row(f"{len(task.languages)} teachers", teachers, task, teachers_size)]
    for kind in ("baseline", "posterior_kd"):
        directory = OUT / name / kind
        train(f"{name}_{kind}", directory)
        scores = evaluate(directory, {**tests, **task.zero_shot}, task.metric)
        title = "baseline" if kind == "baseline" else "student, posterior"
        rows.append(row(title, scores, task, size_of(directory)))

    columns = ["", *task.languages, "mean", *task.zero_shot, "zero-shot mean", "archives, MB"]
    print(f"| {' | '.join(columns)} |")
    print(f"|---{'|---:' * (len(columns) - 1)}|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
