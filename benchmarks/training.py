"""
How long an epoch of training takes: AllenNLP's own `crf_tagger`, our baseline and the distillation
runs, all with the encoder, the batches and the seed of `training_configs/CORPUS/*.jsonnet`, and the
student of `training_configs/suites/`.

Every contender lives in a process of its own, which reads its data once. Epochs are run by
AllenNLP's trainer, without validation and checkpoints, one contender after the other, round by
round; the first epoch of each is not counted. Teachers that are missing are trained for one epoch
first: their quality makes no difference to the time.

    python benchmarks/training.py --output out/benchmarks/training.json
    python benchmarks/training.py --corpora ud --contenders baseline posterior_kd --rounds 5
    python benchmarks/training.py --corpora ud --profile posterior_kd
"""

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import shlex
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import _jsonnet
import measure
from allennlp.commands.train import TrainModel
from allennlp.common import Params
from allennlp.common import logging as common_logging
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import import_module_and_submodules, prepare_environment
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

from structkd_allennlp.data.sentences import sentence_of

Config = Dict[str, Any]

CORPORA = ["conll2002", "ud"]


def crf_tagger(config: Config) -> Config:
    """A tagger of ours as AllenNLP's, which has all of its parameters but for these."""
    own = ("constrain_crf", "marginals", "decode_in_training")
    kept = {key: value for key, value in config.items() if key not in own}
    return {**kept, "type": "crf_tagger"}


def _allennlp(config: Config) -> Config:
    return {**config, "model": crf_tagger(config["model"])}


def _decoding(config: Config) -> Config:
    return {**config, "model": {**config["model"], "decode_in_training": True}}


def _online(config: Config) -> Config:
    model = {key: value for key, value in config["model"].items() if key != "target_store"}
    return {**config, "model": model}


class Contender(NamedTuple):
    run: str
    """Of `runs.libsonnet`, for a `task`."""
    change: Callable[[Config], Config]
    title: str


BASELINE = "baseline(task)"
POSTERIOR = "distillation(task, { type: 'posterior' })"
STRUCTURAL = "distillation(task, { type: 'structural' })"
POSTERIOR_WEIGHTED_TOP_K = """distillation(task, {
    type: 'sum', objectives: [{ type: 'posterior' }, { type: 'weighted_top_k', k: 10 }]
})"""
CONTENDERS = {
    "allennlp": Contender(BASELINE, _allennlp, "AllenNLP's crf_tagger"),
    "baseline_decoding": Contender(BASELINE, _decoding, "baseline, decoding in training too"),
    "baseline": Contender(BASELINE, dict, "baseline"),
    "posterior_kd": Contender(POSTERIOR, dict, "posterior, stored targets"),
    "structural_kd": Contender(STRUCTURAL, dict, "structural, stored targets"),
    "posterior_weighted_top_k_kd": Contender(
        POSTERIOR_WEIGHTED_TOP_K, dict, "posterior + weighted 10-best, stored targets"
    ),
    "posterior_kd_online": Contender(POSTERIOR, _online, "posterior, teachers online"),
}


# As in training_configs/CORPUS/, with the student of the suites.
SUITE = "training_configs/lib/suites.libsonnet"
RUN = """
    local runs = import 'runs.libsonnet';
    local suites = import 'suites.libsonnet';
    local tasks = import 'tasks.libsonnet';
    local task = tasks.%s { student: suites.small };
    runs.%s
"""


def configuration(
    corpus: str, name: str, args: argparse.Namespace, teachers: Dict[str, str], store: str
) -> Config:
    contender = CONTENDERS[name]
    config = json.loads(_jsonnet.evaluate_snippet(SUITE, RUN % (corpus, contender.run)))
    # Neither validation, nor what depends on it or writes to the disk.
    for key in ("validation_data_path", "validation_data_loader"):
        config.pop(key, None)
    trainer = config["trainer"]
    trainer.pop("learning_rate_scheduler", None)
    trainer["checkpointer"] = None
    trainer["num_epochs"] = args.rounds + 1
    trainer["callbacks"] = [
        *trainer.get("callbacks", []),
        {"type": "should_validate_callback", "validation_start": args.rounds + 2},
    ]
    if args.max_instances is not None:
        config["dataset_reader"]["reader"]["max_instances"] = args.max_instances
    if config["model"]["type"] == "structure_kd":
        config["model"]["teachers"] = teachers
        config["model"]["target_store"] = {"directory": store}
        if args.max_instances is not None:
            # A part of the data may lack labels that a teacher of all of it has.
            config["model"]["unmatched_labels"] = "renormalise"
    return contender.change(config)


class Gate(TrainerCallback):
    """
    Calls `between`, before every epoch and after the last, with the seconds of the one that is over
    or, at first, with nothing. The next epoch starts when it returns.
    """

    def __init__(self, serialization_dir: str, between: Callable[[Optional[float]], None]) -> None:
        super().__init__(serialization_dir)
        self._between = between

    def on_start(
        self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs: Any
    ) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        self._between(None)
        self._started = time.perf_counter()

    def on_epoch(self, *args: Any, **kwargs: Any) -> None:
        self._between(time.perf_counter() - self._started)
        self._started = time.perf_counter()


def build(config: Config, directory: str) -> TrainModel:
    params = Params(json.loads(json.dumps(config)))
    common_logging.FILE_FRIENDLY_LOGGING = True
    import_module_and_submodules("allennlp_models.tagging")
    import_module_and_submodules("structkd_allennlp")
    prepare_environment(params)
    return TrainModel.from_params(params=params, serialization_dir=directory, local_rank=0)


def train(run: TrainModel, directory: str, between: Callable[[Optional[float]], None]) -> None:
    trainer = run.trainer
    assert isinstance(trainer, GradientDescentTrainer)
    # The last one: the target store is filled by a callback as well, and is to be full by then.
    trainer._callbacks.append(Gate(directory, between))
    trainer.train()


def child(connection: Connection, config: Config, directory: str, threads: int) -> None:
    """Trains, an epoch for each message that it gets, and answers with the seconds it took."""
    with open(f"{directory}/log", "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    measure.set_threads(threads)
    run = build(config, directory)
    assert isinstance(run.trainer, GradientDescentTrainer)
    sentences = [sentence_of(instance) for instance in run.trainer.data_loader.iter_instances()]
    size = {"sentences": len(sentences), "tokens": sum(len(words) for words, _ in sentences)}
    epochs_left = config["trainer"]["num_epochs"]

    def between(seconds: Optional[float]) -> None:
        nonlocal epochs_left
        connection.send(size if seconds is None else seconds)
        if epochs_left > 0:
            connection.recv()
        epochs_left -= 1

    train(run, directory, between)


class Runner:
    """A contender in its process."""

    def __init__(self, config: Config, directory: Path, threads: int) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        arguments = (other, config, str(directory), threads)
        self._process = context.Process(target=child, args=arguments, daemon=True)
        self._process.start()
        other.close()
        # Only one process at a time works: the first fills the target store for the others.
        self.size: Dict[str, int] = self._answer()

    def epoch(self) -> float:
        self._connection.send("go")
        return self._answer()

    def _answer(self) -> Any:
        try:
            return self._connection.recv()
        except EOFError:
            log = (self._directory / "log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"a contender failed. The last it printed:\n{log[-3000:]}") from None

    def close(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()


def teacher_archives(corpus: str, args: argparse.Namespace) -> Dict[str, str]:
    """By language; those that are missing are trained, for one epoch."""
    config = Params.from_file(f"training_configs/{corpus}/baseline.jsonnet").as_dict(quiet=True)
    archives = {}
    for language in config["dataset_reader"]["languages"]:
        archive = Path(args.teachers.format(corpus=corpus, language=language))
        if not archive.exists():
            limit = "" if args.max_instances is None else f".{args.max_instances}"
            directory = Path(f"out/benchmarks/teachers/{corpus}{limit}/{language}")
            measure.note(f"there is no {archive}: using {directory}, a teacher of one epoch")
            archive = directory / "model.tar.gz"
            if not (directory / "metrics.json").exists():
                _train_teacher(corpus, language, directory, args)
        archives[language] = str(archive)
    return archives


def _train_teacher(corpus: str, language: str, directory: Path, args: argparse.Namespace) -> None:
    overrides: Config = {"dataset_reader.languages": [language], "trainer.num_epochs": 1}
    if args.max_instances is not None:
        overrides["dataset_reader.reader.max_instances"] = args.max_instances
    command = [sys.executable, "-m", "allennlp", "train"]
    command += [f"training_configs/{corpus}/teacher.jsonnet", "-s", str(directory), "--force"]
    command += ["--include-package", "structkd_allennlp", "--overrides", json.dumps(overrides)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout[-3000:]}")


def missing_data(corpus: str) -> List[str]:
    config = Params.from_file(f"training_configs/{corpus}/baseline.jsonnet").as_dict(quiet=True)
    paths = [
        config["train_data_path"].format(language=language)
        for language in config["dataset_reader"]["languages"]
    ]
    return [path for path in paths if not Path(path).exists()]


def measured(corpus: str, args: argparse.Namespace) -> List[measure.Row]:
    teachers = teacher_archives(corpus, args)
    runners: Dict[str, Runner] = {}
    seconds: Dict[str, List[float]] = {name: [] for name in args.contenders}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in args.contenders:
                measure.note(f"{corpus}: reading the data of {name}")
                config = configuration(corpus, name, args, teachers, f"{folder}/targets")
                runners[name] = Runner(config, Path(folder) / name, args.threads)
            for round_ in range(args.rounds + 1):
                names = list(runners) if round_ % 2 else list(runners)[::-1]
                for name in names:
                    seconds[name].append(runners[name].epoch())
                    measure.note(f"{corpus}: epoch {round_ + 1}, {name}: {seconds[name][-1]:.2f} s")
        finally:
            for runner in runners.values():
                runner.close()
    return [
        {
            "corpus": corpus,
            "contender": name,
            "title": CONTENDERS[name].title,
            **runner.size,
            "first": seconds[name][0],
            **measure.summary(seconds[name][1:]),
        }
        for name, runner in runners.items()
    ]


def profile(corpus: str, name: str, args: argparse.Namespace) -> None:
    """Prints where the second epoch of a contender spends its time."""
    teachers = teacher_archives(corpus, args)
    profiler = cProfile.Profile()
    epochs = 0

    def between(seconds: Optional[float]) -> None:
        nonlocal epochs
        profiler.disable()
        if epochs == 1:
            profiler.enable()
        epochs += 1

    args.rounds = 1
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(corpus, name, args, teachers, f"{folder}/targets")
        train(build(config, folder), folder, between)
    for order in ("tottime", "cumulative"):
        pstats.Stats(profiler).strip_dirs().sort_stats(order).print_stats(30)


def tables(rows: Sequence[measure.Row]) -> str:
    result = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        here = [row for row in rows if row["corpus"] == corpus]
        medians = {row["contender"]: row["median"] for row in here}
        references = [name for name in ("allennlp", "baseline") if name in medians]
        lines = [
            [
                row["title"],
                f"{row['median']:.2f}",
                f"{row['min']:.2f}",
                f"{row['tokens'] / row['median']:,.0f}",
                *(f"{row['median'] / medians[name]:.2f}" for name in references),
            ]
            for row in here
        ]
        result.append(f"{corpus}: {here[0]['sentences']:,} sentences, {here[0]['tokens']:,} tokens")
        header = [CONTENDERS[name].title for name in references]
        header = [f"time of {title} = 1" for title in header]
        columns = ["", "seconds an epoch", "fastest", "tokens a second", *header]
        result.append(measure.table(columns, lines))
    return "\n\n".join(result) + "\n"


def main() -> None:
    parser = measure.parser(__doc__, "training", rounds=2)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=CORPORA)
    parser.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS)
    )
    parser.add_argument(
        "--teachers",
        default="out/{corpus}/teachers/{language}/model.tar.gz",
        help="their archives (default: %(default)s)",
    )
    parser.add_argument(
        "--max-instances", type=measure.positive, help="sentences of a language (default: all)"
    )
    parser.add_argument(
        "--profile", choices=list(CONTENDERS), help="print the profile of an epoch instead"
    )
    args = measure.parse(parser)
    corpora = []
    for corpus in args.corpora:
        missing = missing_data(corpus)
        if missing:
            measure.note(f"{corpus} is skipped: there is no {', '.join(missing)}")
        else:
            corpora.append(corpus)
    if not corpora:
        raise ConfigurationError(
            "there is no data to train on: make data/ a link to the corpora, laid out as "
            "training_configs/lib/tasks.libsonnet says"
        )
    if args.profile:
        for corpus in corpora:
            profile(corpus, args.profile, args)
        return
    environment = measure.environment(args.threads)
    rows = [row for corpus in corpora for row in measured(corpus, args)]
    print(tables(rows))
    measure.write(args.output, "training", environment, max_instances=args.max_instances, rows=rows)


if __name__ == "__main__":
    main()
