"""What a suite consists of: jobs, what each of them needs, and which are done already."""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from structkd_allennlp.data.corpus_paths import file_of
from structkd_allennlp.suite.jobs import Entry, Step, TargetsJob, TrainJob
from structkd_allennlp.suite.rows import (
    Config,
    Row,
    configs_of,
    is_multilingual,
    with_configs_replaced,
    with_source,
)
from structkd_allennlp.suite.specification import Suite

RECORDING_CALLBACKS = ("overlap_check", "epoch_record")
"""Trainer callbacks that every run has, whatever its configuration says."""

_SEEDS = ("random_seed", "numpy_seed", "pytorch_seed")


def digest(value: Any) -> str:
    """The SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plan(suite: Suite, directory: Path, packages: Sequence[str] = ()) -> List[Step[Any]]:
    """
    All steps of a suite, in the order in which they are best run: the teachers of single languages,
    and then, seed by seed, the teachers of all languages, the scores of the training data, and the
    students. Those that have been done are marked as done.

    # Parameters

    suite : `Suite`
    directory : `Path`
    packages : `Sequence[str]`, optional
        Further packages that the jobs import.
    """
    planner = _Planner(suite, directory, packages)
    for group in suite.teachers:
        planner.add_group(group)
    for row in suite.rows:
        for seed in row.seeds:
            planner.add_student(row, seed)
    return planner.steps()


@dataclass(frozen=True)
class _Teachers:
    """
    What a student learns from.

    # Parameters

    name : `str`
    steps : `List[Step]`
    form : `Callable`
        From a value of each step to what a `structure_kd` has as its `teachers`.
    """

    name: str
    steps: List[Step[TrainJob]]
    form: Callable[[Sequence[str]], Any]

    def with_each(self, value: Callable[[TrainJob], str]) -> Any:
        return self.form([value(step.job) for step in self.steps])


class _Planner:
    def __init__(self, suite: Suite, directory: Path, packages: Sequence[str]) -> None:
        self._suite = suite
        self._directory = directory
        self._packages = list(packages)
        self._tests = {**suite.test, **suite.zero_shot}
        # Test files may be large, and many runs share them.
        self._contents = {
            path: hashlib.sha256(file_of(path).read_bytes()).hexdigest()
            for path in self._tests.values()
        }
        # By name, and by seed where there is a model for each.
        self._teachers: Dict[Tuple[str, Optional[int]], _Teachers] = {}
        self._runs: List[Step[TrainJob]] = []
        # By the name of what they learn from.
        self._learners: Dict[str, List[Step[TrainJob]]] = {}

    def add_group(self, group: str) -> None:
        own = self._suite.teachers[group]
        if is_multilingual(own):
            for seed in own["seeds"]:
                config = _with_seed(own["config"], seed)
                self._add_one(group, seed, self._teacher(group, f"seed{seed}", config, seed=seed))
            return
        steps = []
        for language, teacher in own.items():
            configs = configs_of(teacher)
            for i, config in enumerate(configs, start=1):
                index = None if configs == [teacher] else i
                name = language if index is None else f"{language}/{index}"
                step = self._teacher(group, name, config, language=language, index=index)
                steps.append(step)
                if index is None:
                    self._add_one(f"{group}/{language}", None, step)

        def form(values: Sequence[str]) -> Any:
            left = iter(values)
            return {
                language: with_configs_replaced(teacher, [next(left) for _ in configs_of(teacher)])
                for language, teacher in own.items()
            }

        self._teachers[group, None] = _Teachers(group, steps, form)

    def _teacher(
        self,
        group: str,
        name: str,
        config: Config,
        language: Optional[str] = None,
        index: Optional[int] = None,
        seed: Optional[int] = None,
    ) -> Step[TrainJob]:
        entry = Entry(
            "teacher",
            f"teachers/{group}/{name}",
            digest(_identity(config)),
            config["model"].get("objective"),
            group=group,
            language=language,
            index=index,
            seed=seed,
        )
        tests = self._tests
        if language is not None:
            tests = {language: self._suite.test[language], **self._suite.zero_shot}
        return self._step(entry, config, tests, f"teachers/{group}")

    def _add_one(self, name: str, seed: Optional[int], step: Step[TrainJob]) -> None:
        """A single model, which students with the same seed may learn or start from."""
        place = name if seed is None else f"{name}/seed{seed}"
        teachers = _Teachers(place, [step], lambda values: values[0])
        # Where a group and a row have the same name, it means the group.
        self._teachers.setdefault((name, seed), teachers)

    def add_student(self, row: Row, seed: int) -> None:
        config = _with_seed(row.config, seed)
        identity = config
        needs: List[Step[TrainJob]] = []
        teachers = None
        if row.teachers is not None:
            teachers = self._of(row.teachers, seed)
            needs += teachers.steps
            # Where the teachers and their scores lie makes no difference to the student.
            store = {**(config["model"].get("target_store") or {}), "directory": None}
            identity = _with_model(
                config,
                teachers=teachers.with_each(lambda job: job.entry.digest),
                target_store=store,
            )
            config = _with_model(
                config,
                teachers=teachers.with_each(lambda job: f"{job.directory}/model.tar.gz"),
                target_store={**store, "directory": str(self._directory / "targets")},
            )
        if row.initialize_from is not None:
            start = self._of(row.initialize_from, seed)
            needs += (step for step in start.steps if step not in needs)
            identity = _starting_from(identity, start.with_each(lambda job: job.entry.digest))
            config = _starting_from(
                config, start.with_each(lambda job: f"{job.directory}/model.tar.gz")
            )
        entry = Entry(
            "student",
            f"students/{row.name}/seed{seed}",
            digest(_identity(identity)),
            config["model"].get("objective"),
            row=row.name,
            seed=seed,
            teachers=row.teachers,
        )
        step = self._step(entry, config, self._tests, f"students/{row.name}")
        step.needs = needs
        if teachers is not None:
            self._learners.setdefault(teachers.name, []).append(step)
        self._add_one(row.name, seed, step)

    def _of(self, name: str, seed: int) -> _Teachers:
        return self._teachers.get((name, None)) or self._teachers[name, seed]

    def steps(self) -> List[Step[Any]]:
        """All of them, in order."""
        for teachers in self._teachers.values():
            self._fill(teachers)
        seeds = dict.fromkeys(
            step.job.entry.seed
            # A seed that only teachers have comes last.
            for step in sorted(self._runs, key=lambda step: step.job.entry.kind == "teacher")
        )
        # A fill that several seeds wait for comes with the first of them.
        ordered: Dict[Step[Any], None] = {}
        for seed in [None, *seeds]:
            own = [step for step in self._runs if step.job.entry.seed == seed]
            ordered |= dict.fromkeys(step for step in own if step.job.entry.kind == "teacher")
            ordered |= dict.fromkeys(fill for step in own for fill in step.after)
            ordered |= dict.fromkeys(own)
        return list(ordered)

    def _fill(self, teachers: _Teachers) -> None:
        """Has the training data of several students scored first, if any has yet to be trained."""
        own = self._learners.get(teachers.name, [])
        # One alone has them scored itself.
        if len(own) < 2 or all(step.job.trained() is not None for step in own):
            return
        # Students that train on the same data need the same scores.
        data = {
            digest([config["dataset_reader"], config["train_data_path"]]): config
            for config in (step.job.config for step in own)
        }
        job = TargetsJob(list(data.values()), self._packages)
        fill = Step(f"targets.{teachers.name}", job, "targets", needs=teachers.steps)
        for step in own:
            step.after = [fill]

    def _step(
        self, entry: Entry, config: Config, tests: Dict[str, str], like: str
    ) -> Step[TrainJob]:
        metric = self._suite.metric
        files = {language: [path, self._contents[path]] for language, path in tests.items()}
        job = TrainJob(
            entry,
            str(self._directory / entry.directory),
            config,
            tests,
            metric,
            digest([metric, files]),
            self._packages,
        )
        step = Step(entry.directory, job, like)
        found = job.done()
        if found is not None:
            step.state, step.result = "done", found
        self._runs.append(step)
        return step


def _identity(config: Config) -> Config:
    """The part of a configuration that determines the model."""
    callbacks = config["trainer"].get("callbacks") or []
    others = [callback for callback in callbacks if callback not in RECORDING_CALLBACKS]
    if others == callbacks:
        return config
    trainer = {**config["trainer"], "callbacks": others}
    if not others:
        del trainer["callbacks"]
    return {**config, "trainer": trainer}


def _with_model(config: Config, **changes: Any) -> Config:
    return {**config, "model": {**config["model"], **changes}}


def _starting_from(config: Config, source: str) -> Config:
    return {**config, "model": with_source(config["model"], source)}


def _with_seed(config: Config, seed: int) -> Config:
    return {**deepcopy(config), **dict.fromkeys(_SEEDS, seed)}
