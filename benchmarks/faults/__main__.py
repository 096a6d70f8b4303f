"""
Tries to break what must not break, on the fixtures, and writes what came of it.

    python benchmarks/faults
    python benchmarks/faults --share 0.1 --only kills --output out/faults.md
"""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, List, NamedTuple

# One thread each for several processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import measure

from faults import archives, commands, kills, predictor, readers, repeats, store, workers
from structkd_allennlp.common.files import write_text

STUDENT = "training_configs/posterior_kd.jsonnet"
TEACHER = "fixtures/teachers/en.tar.gz"
KILLED = ["the same", "kills"]


class Trial(NamedTuple):
    """
    # Parameters

    group, name : `str`
    number : `int`
        Of trials.
    run : `Callable[[int, float], Counter[str]]`
        Given the numbers of trials and of seconds, counts their outcomes.
    good : `List[str]`
        How outcomes that may be begin; any other is a finding.
    """

    group: str
    name: str
    number: int
    run: Callable[[int, float], "Counter[str]"]
    good: List[str]


def trials() -> List[Trial]:
    training = {"trainer.num_epochs": 6, "trainer.checkpointer.save_every_num_batches": 5}
    found = [
        Trial(
            "kills",
            "training, recovered",
            20,
            lambda n, s: kills.kill_training(STUDENT, training, n, limit_s=s),
            KILLED,
        )
    ]
    for name, number, command, outcome in (
        ("filling a target store", 20, commands.fill_store, commands.fill_store_outcome),
        ("train-folds", 6, commands.folds, commands.folds_outcome),
        ("a suite, two runs at a time", 4, commands.suite, commands.suite_outcome),
    ):
        found.append(Trial("kills", name, number, _killed(command, outcome), KILLED))
    for name, load in (("student", archives.as_student), ("teacher", archives.as_teacher)):
        found.append(
            Trial("damage", f"a {name}'s archive", 300, _damaged(load), ["refused", "the same"])
        )
    harmless = ["unharmed", "missing", "refused"]
    found.append(
        Trial("damage", "a target store", 300, lambda n, _: store.damage_a_store(n), harmless)
    )
    found += [
        Trial("fuzzing", "readers", 10_000, _fuzzed_readers, ["read", "refused"]),
        Trial(
            "fuzzing",
            "predictor",
            2_000,
            lambda n, _: predictor.fuzz_predictor(n),
            ["tagged", "refused"],
        ),
        *(
            Trial("distributed", name, 1, _distributed(number, **options), ["equal"])
            for name, number, options in (
                ("two workers", 2, {}),
                ("two workers, store and unlabelled text", 2, {"store": True, "unlabelled": True}),
                ("three workers, unlabelled text", 3, {"unlabelled": True, "batch_size": 1}),
                ("four workers, store and unlabelled text", 4, {"store": True, "unlabelled": True}),
            )
        ),
        Trial("repeats", "the same run again", 1, _repeated, ["the same", "rounding"]),
    ]
    return found


def _killed(
    command: Callable[[Path], None], outcome: Callable[[Path], object]
) -> Callable[[int, float], "Counter[str]"]:
    return lambda n, s: commands.kill_command(command, outcome, n, limit_s=s)


def _damaged(load: archives.Loader) -> Callable[[int, float], "Counter[str]"]:
    return lambda n, _: archives.damage_an_archive(TEACHER, load, n, n // 3)


def _fuzzed_readers(number: int, _: float) -> "Counter[str]":
    findings = readers.fuzz_readers(number)
    return findings.outcomes + Counter(findings.faults)


def _distributed(number: int, **options: Any) -> Callable[[int, float], "Counter[str]"]:
    def run(_: int, __: float) -> "Counter[str]":
        differences = workers.distributed_training(number, **options)
        # AllenNLP takes means of losses over batches, which are others here.
        bad = [x for x, d in differences.items() if d and not x.endswith(("loss", "lambda"))]
        return Counter({f"other {name}": 1 for name in bad} or {"equal": 1})

    return run


def _repeated(_: int, __: float) -> "Counter[str]":
    return repeats.repeat_training()


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--output", type=Path, default=Path("docs/results/faults.md"))
    arguments.add_argument("--only", help="one group: kills, damage, fuzzing, distributed, repeats")
    arguments.add_argument(
        "--share", type=float, default=1.0, help="how much of all trials to do (default: 1)"
    )
    arguments.add_argument(
        "--limit", type=float, default=600, help="seconds a row, for kills (default: 600)"
    )
    args = arguments.parse_args()
    measure.check_output(args.output)
    logging.disable(logging.WARNING)
    environment = measure.environment(1)
    rows, findings = [], 0
    for trial in trials():
        if args.only not in (None, trial.group):
            continue
        started = time.monotonic()
        outcomes = trial.run(max(1, round(args.share * trial.number)), args.limit)
        seconds = time.monotonic() - started
        good = tuple(trial.good)
        bad = sum(count for outcome, count in outcomes.items() if not outcome.startswith(good))
        findings += bad
        told = ", ".join(f"{outcome}: {count:,}" for outcome, count in outcomes.most_common())
        measure.note(f"{trial.group}, {trial.name}: {told} ({seconds:.0f} s)")
        rows.append([f"{trial.group}: {trial.name}", told, str(bad), f"{seconds:.0f}"])
    table = measure.table(["", "outcomes", "findings", "seconds"], rows)
    write_text(args.output, PAGE.format(table=table, **environment))
    sys.exit(bool(findings))


PAGE = """# Faults: what was tried, and what came of it

Made by `python benchmarks/{command}` at revision {revision}, {date}: {processor}, {cores} cores,
{platform}, Python {python}, load average {load:.1f} at the start. All on the fixtures.

{table}

- **Kills**: SIGKILL at random moments, one to three times a trial, half of those of training
  right before a random change to a file; then the same command again, to its end. "The same" is
  every bit of the weights and every metric (of a store every entry, of a suite every score as
  well) of a run that nobody disturbed.
- **Damage**: single bits flipped at random places, the file cut short at random places, and for
  the store pages of noise. "The same" loads the weights, vocabulary and configuration that were
  archived (a bit of the file's name or date in gzip's header, say); "missing" entries of a
  store are computed again. Any other result that loads would be a finding.
- **Fuzzing**: files and lines that hypothesis makes from valid ones and from nothing. "Refused"
  is an error that names the file or the line, in at most a few hundred characters; anything
  else would be a finding.
- **Distributed**: two epochs at a learning rate of 0, against one process. "Equal" are all
  counts, scores and numbers of sentences. AllenNLP averages losses over batches, which are
  other batches.
- **Repeats**: the same run again, with a cold and with a warm target store, and with two
  threads.
"""


if __name__ == "__main__":
    main()
