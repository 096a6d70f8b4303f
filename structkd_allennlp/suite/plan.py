"""What a suite consists of: jobs, what each of them needs, and which are done already."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from structkd_allennlp.data.corpus_paths import file_of
from structkd_allennlp.suite.groups import (
    TeacherGroup,
    TeacherModel,
    part_name,
    teachers_seed,
    together,
)
from structkd_allennlp.suite.jobs import Entry, Step, TargetsJob, TrainJob
from structkd_allennlp.suite.rows import Config, Row, with_seed, with_source
from structkd_allennlp.suite.specification import Suite

RECORDING_CALLBACKS = ("overlap_check", "epoch_record")
"""Trainer callbacks that every run has, whatever its configuration says."""


def digest(value: Any) -> str:
    """The SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plan(suite: Suite, directory: Path, packages: Sequence[str] = ()) -> List[Step[Any]]:
    """
    All steps of a suite, in the order in which they are best run: the teachers without a seed of
    their own, and then, seed by seed, the other teachers, the scores of the training data, and the
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

    @property
    def directories(self) -> List[str]:
        return [step.job.entry.directory for step in self.steps]

    def with_each(self, value: Callable[[TrainJob], str]) -> Any:
        return self.form([value(step.job) for step in self.steps])

    @classmethod
    def joined(cls, parts: Sequence["_Teachers"]) -> "_Teachers":
        """All of them as one ensemble."""

        def form(values: Sequence[str]) -> Any:
            left = iter(values)
            return together([part.form([next(left) for _ in part.steps]) for part in parts])

        name = "+".join(part.name for part in parts)
        return cls(name, [step for part in parts for step in part.steps], form)


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
        # By name, and by seed where there are models for each.
        self._teachers: Dict[Tuple[str, Optional[int]], _Teachers] = {}
        # The seeds of groups that have any.
        self._seeds: Dict[str, List[int]] = {}
        self._runs: List[Step[TrainJob]] = []
        # What students learn from, by its name, and who they are.
        self._taught: Dict[str, Tuple[_Teachers, List[Step[TrainJob]]]] = {}

    def add_group(self, name: str) -> None:
        group = TeacherGroup(self._suite.teachers[name])
        seeds: Sequence[Optional[int]] = group.seeds or [None]
        for seed in seeds:
            models = group.ensemble("", seed).models
            steps = {model.place: self._teacher(name, model) for model in models}
            for part in group.ensemble_names:
                ensemble = group.ensemble(part, seed)
                own = [steps[model.place] for model in ensemble.models]
                self._add(part_name(name, part), seed, own, ensemble.form)
            for model in models:
                self._add(part_name(name, model.name), seed, [steps[model.place]])
        if group.seeds is not None:
            parts = {*group.ensemble_names, *group.model_names}
            self._seeds |= {part_name(name, part): group.seeds for part in parts}

    def _teacher(self, group: str, model: TeacherModel) -> Step[TrainJob]:
        entry = Entry(
            "teacher",
            f"teachers/{part_name(group, model.place)}",
            digest(_identity(model.config)),
            model.config["model"].get("objective"),
            group=group,
            language=model.language,
            index=model.index,
            seed=model.seed,
        )
        tests = self._tests
        if model.language is not None:
            tests = {model.language: self._suite.test[model.language], **self._suite.zero_shot}
        return self._step(entry, model.config, tests, f"teachers/{group}")

    def _add(
        self,
        name: str,
        seed: Optional[int],
        steps: List[Step[TrainJob]],
        form: Callable[[Sequence[str]], Any] = lambda values: values[0],
    ) -> None:
        """What students may learn or start from."""
        place = name if seed is None else f"{name}/seed{seed}"
        # Where a group and a row have the same name, it means the group.
        self._teachers.setdefault((name, seed), _Teachers(place, steps, form))

    def add_student(self, row: Row, seed: int) -> None:
        config = with_seed(row.config, seed)
        identity = config
        needs: List[Step[TrainJob]] = []
        teachers, start = None, None
        if row.teachers is not None:
            teachers = _Teachers.joined([self._of(name, seed) for name in row.teacher_names])
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
            teachers="+".join(row.teacher_names) or None,
            teacher_runs=teachers.directories if teachers else None,
            initial_run=start.directories[0] if start else None,
        )
        step = self._step(entry, config, self._tests, f"students/{row.name}", needs)
        if teachers is not None:
            self._taught.setdefault(teachers.name, (teachers, []))[1].append(step)
        self._add(row.name, seed, [step])

    def _of(self, name: str, seed: int) -> _Teachers:
        if (name, None) in self._teachers:
            return self._teachers[name, None]
        return self._teachers[name, teachers_seed(seed, self._seeds.get(name, [seed]))]

    def steps(self) -> List[Step[Any]]:
        """All of them, in order."""
        for teachers, students in self._taught.values():
            self._fill(teachers, students)
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

    def _fill(self, teachers: _Teachers, students: List[Step[TrainJob]]) -> None:
        """Has the training data of several students scored first, if any has yet to be trained."""
        # One alone has them scored itself.
        if len(students) < 2 or all(step.job.trained() is not None for step in students):
            return
        # Students that train on the same data need the same scores.
        data = {
            digest([config["dataset_reader"], config["train_data_path"]]): config
            for config in (step.job.config for step in students)
        }
        job = TargetsJob(list(data.values()), self._packages)
        fill = Step(f"targets.{teachers.name}", job, "targets", needs=teachers.steps)
        for step in students:
            step.after = [fill]

    def _step(
        self,
        entry: Entry,
        config: Config,
        tests: Dict[str, str],
        like: str,
        needs: Sequence[Step[TrainJob]] = (),
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
            _data_of(needs),
        )
        step = Step(entry.directory, job, like, needs)
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


def _data_of(steps: Sequence[Step[TrainJob]]) -> List[Config]:
    """What these and those that they depend on are trained on, each once."""
    found: List[Config] = []
    for step in steps:
        own = {key: step.job.config[key] for key in ("dataset_reader", "train_data_path")}
        found += (data for data in (*step.job.learned_from, own) if data not in found)
    return found


def _with_model(config: Config, **changes: Any) -> Config:
    return {**config, "model": {**config["model"], **changes}}


def _starting_from(config: Config, source: str) -> Config:
    return {**config, "model": with_source(config["model"], source)}
