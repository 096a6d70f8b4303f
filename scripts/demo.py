"""
The main job from end to end, by the commands that a user types: distils the teachers of the
fixtures into one student, evaluates it on every language, also on those it was not trained on, tags
new sentences, and exports the student for tagging without AllenNLP and PyTorch. Everything it makes
lies in out/demo.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("out/demo")
TRAINED, ZERO_SHOT = ["en", "es"], ["nl", "pt"]
SENTENCES = [
    {"sentence": "Anna Miller flew from London to Madrid on Tuesday.", "language": "en"},
    {"sentence": "El presidente de Iberdrola visitó Sevilla con Carlos Ruiz.", "language": "es"},
    {"sentence": "A Maria trabalha em Lisboa para a Siemens.", "language": "pt"},
]
console = Console(highlight=False)


def allennlp(*arguments: str, log: Path) -> None:
    call("allennlp", *arguments, "--include-package", "structkd_allennlp", log=log)


def call(*command: str, log: Path) -> None:
    """Runs a command as a user would, and keeps what it prints in a file."""
    console.print(f"\n[bold]$ {shlex.join(command)}[/bold]", soft_wrap=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file, console.status(f"running; see {log}"):
        # That of this environment, also where it is not on the path.
        own = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [str(own), *command[1:]], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT
        )
    if done.returncode:
        console.print(log.read_text(encoding="utf-8")[-3000:], markup=False)
        sys.exit(f"demo: the command above failed; all that it printed is in {log}")
    console.print(f"done in {time.monotonic() - started:.0f} s (log: {log})")


def score_table(scores: Dict[str, Dict[str, float]]) -> Table:
    table = Table("language", "", "token accuracy", "precision", "recall", "F1")
    for language, metrics in scores.items():
        table.add_row(
            language,
            "trained on" if language in TRAINED else "zero-shot",
            *(
                f"{100 * metrics[f'{name}/{language}']:.1f}"
                for name in ("accuracy", "precision", "recall", "f1-measure")
            ),
        )
    return table


def entity_table(predictions: List[dict]) -> Table:
    table = Table("sentence", "entity", "label", "characters", "probability")
    for given, result in zip(SENTENCES, predictions, strict=True):
        entities = result["entities"] or [None]
        for i, entity in enumerate(entities):
            sentence = given["sentence"] if i == 0 else ""
            if entity is None:
                table.add_row(sentence, "(none)")
                continue
            span = f"{entity['start_char']}-{entity['end_char']}"
            probability = f"{entity['probability']:.3f}"
            table.add_row(sentence, entity["text"], entity["label"], span, probability)
    return table


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def main() -> None:
    os.chdir(ROOT)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    run, archive = OUT / "run", str(OUT / "run" / "model.tar.gz")

    console.print("[bold]1. Distil the English and the Spanish teacher into one student[/bold]")
    allennlp(
        "train", "training_configs/posterior_kd.jsonnet", "-s", str(run), log=OUT / "train.log"
    )

    console.print("\n[bold]2. Evaluate it, also on languages it has never seen[/bold]")
    languages = TRAINED + ZERO_SHOT
    metric_files = [OUT / f"metrics.{language}.json" for language in languages]
    allennlp(
        "evaluate",
        archive,
        ",".join(f"fixtures/conll/{language}/test.txt" for language in languages),
        "--output-file",
        ",".join(map(str, metric_files)),
        log=OUT / "evaluate.log",
    )
    scores = {
        language: json.loads(file.read_text(encoding="utf-8"))
        for language, file in zip(languages, metric_files, strict=True)
    }
    console.print(score_table(scores))

    console.print("\n[bold]3. Tag new text[/bold]")
    given, predicted = OUT / "input.jsonl", OUT / "predictions.jsonl"
    lines = [json.dumps(sentence, ensure_ascii=False) + "\n" for sentence in SENTENCES]
    given.write_text("".join(lines), encoding="utf-8")
    allennlp(
        "predict",
        archive,
        str(given),
        "--predictor",
        "structured_tagger",
        "--output-file",
        str(predicted),
        "--silent",
        log=OUT / "predict.log",
    )
    with predicted.open(encoding="utf-8") as file:
        console.print(entity_table([json.loads(line) for line in file]))

    console.print("\n[bold]4. Export it, and tag without AllenNLP and PyTorch[/bold]")
    exported = OUT / "tagger"
    allennlp("export-tagger", archive, str(exported), log=OUT / "export.log")
    tagged = OUT / "tagged.jsonl"
    call("structkd", "tag", str(exported), str(given), "--output", str(tagged), log=OUT / "tag.log")
    with tagged.open(encoding="utf-8") as file:
        console.print(entity_table([json.loads(line) for line in file]))

    console.print(
        f"\nThe student is {archive} ({Path(archive).stat().st_size / 1024:.0f} KiB; its teachers "
        "are in fixtures/teachers).\n"
        f"Metrics: {OUT}/metrics.*.json. Predictions: {predicted}. Training: {run}.\n"
        f"Exported, it is {exported} ({size_of(exported) / 1024:.0f} KiB). To try it on a page:\n\n"
        f"    {Path(sys.executable).with_name('structkd')} serve {exported}\n\n"
        "and open http://127.0.0.1:8000 in a browser.",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
