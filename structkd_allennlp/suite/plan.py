"""What a suite consists of: jobs, what each of them needs, and which are done already."""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Generic,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    TypeVar,
    Union,
)

from structkd_allennlp.data.corpus_paths import file_of
from structkd_allennlp.suite.files import finished_run
from structkd_allennlp.suite.specification import (
    Config,
    Row,
    Suite,
    configs_of,
    with_configs_replaced,
)

RECORDING_CALLBACKS = ("overlap_check", "epoch_record")
"""Trainer callbacks that every run has, whatever its configuration says."""

_SEEDS = ("random_seed", "numpy_seed", "pytorch_seed")


@dataclass(frozen=True)
class Entry:
    """
    Which run it is, with the keys of `results.json`.

    # Parameters

    kind : `str`
        `"teacher"` or `"student"`.
    directory : `str`
        Within that of the suite.
    digest : `str`
        Of everything that determines the model.
    objective : `Dict[str, Any]`, optional
    group, language, index : optional
        A teacher's group, its language, and its number, from 1, in an ensemble or among folds.
    row, seed, teachers : optional
        A student's row, its seed, and the group that it learns from.
    """

    kind: Literal["teacher", "student"]
    directory: str
    digest: str
    objective: Optional[Dict[str, Any]]
    group: Optional[str] = None
    language: Optional[str] = None
    index: Optional[int] = None
    row: Optional[str] = None
    seed: Optional[int] = None
    teachers: Optional[str] = None


@dataclass(frozen=True)
class TrainJob:
    """
    Train a model, unless that is done, and evaluate it.

    # Parameters

    entry : `Entry`
    directory : `str`
        The model's serialization directory.
    config : `Config`
    tests : `Dict[str, str]`
        The test file of each language.
    metric : `str`
    evaluation_digest : `str`
        Of everything beside the model that determines the scores.
    include_package : `List[str]`
        Further packages to import.
    """

    entry: Entry
    directory: str
    config: Config
    tests: Dict[str, str]
    metric: str
    evaluation_digest: str
    include_package: List[str]

    def trained(self) -> Optional[Dict[str, Any]]:
        """The record of a finished run of this configuration, whatever it was evaluated on."""
        run = finished_run(Path(self.directory))
        return run if run is not None and run["digest"] == self.entry.digest else None

    def done(self) -> Optional[Dict[str, Any]]:
        """The same record, if it was also evaluated on exactly these tests."""
        run = self.trained()
        if run is None or run["evaluation_digest"] != self.evaluation_digest:
            return None
        return run


@dataclass(frozen=True)
class TargetsJob:
    """
    Fill the target store of each of these configurations.

    # Parameters

    fill : `List[Config]`
    include_package : `List[str]`
        Further packages to import.
    """

    fill: List[Config]
    include_package: List[str]


Job = Union[TrainJob, TargetsJob]
J = TypeVar("J", TrainJob, TargetsJob)


def job_of(values: Mapping[str, Any]) -> Job:
    """The inverse of `dataclasses.asdict`."""
    if "fill" in values:
        return TargetsJob(**values)
    return TrainJob(**{**values, "entry": Entry(**values["entry"])})


@dataclass(eq=False)
class Step(Generic[J]):
    """
    A job, its place in the plan, and what has become of it.

    # Parameters

    name : `str`
        Also its path in the directory of the suite, without the ending of its log.
    job : `Job`
    like : `str`
        Steps of the same kind, which take about equally long, have the same.
    needs : `Sequence[Step]`
        Those that have to succeed before.
    after : `Sequence[Step]`
        Those that have to end before, whether they succeed or not.
    state : `str`
        A step is `"blocked"` if one that it needs has failed.
    error : `str`, optional
    result : `Dict[str, Any]`
        The run's record, once it is done.
    """

    name: str
    job: J
    like: str
    needs: Sequence["Step[Any]"] = ()
    after: Sequence["Step[Any]"] = ()
    state: Literal["waiting", "running", "done", "failed", "blocked"] = "waiting"
    error: Optional[str] = None
    result: Dict[str, Any] = field(default_factory=dict)


def digest(value: Any) -> str:
    """The SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def plan(suite: Suite, directory: Path, packages: Sequence[str] = ()) -> List[Step[Any]]:
    """
    All steps of a suite, in the order in which they are best run: the teachers, their scores of the
    training data, and the students, seed by seed. Those that have been done are marked as done.

    # Parameters

    suite : `Suite`
    directory : `Path`
    packages : `Sequence[str]`, optional
        Further packages that the jobs import.
    """
    planner = _Planner(suite, directory, packages)
    groups = {group: planner.teachers(group) for group in suite.teachers}
    seeds = dict.fromkeys(seed for row in suite.rows for seed in row.seeds)
    students = [
        planner.student(row, seed, groups)
        for seed in seeds
        for row in suite.rows
        if seed in row.seeds
    ]
    fills = [planner.fill(group, teachers, students) for group, teachers in groups.items()]
    return [
        *(step for teachers in groups.values() for step in _all(teachers)),
        *(fill for fill in fills if fill is not None),
        *students,
    ]


_Group = Dict[str, List[Step[TrainJob]]]
"""The teachers of each language."""


class _Planner:
    def __init__(self, suite: Suite, directory: Path, packages: Sequence[str]) -> None:
        self._suite = suite
        self._directory = directory
        self._packages = list(packages)
        # Test files may be large, and many runs share them.
        self._contents = {
            path: hashlib.sha256(file_of(path).read_bytes()).hexdigest()
            for path in {**suite.test, **suite.zero_shot}.values()
        }

    def teachers(self, group: str) -> _Group:
        steps: _Group = {}
        for language, teacher in self._suite.teachers[group].items():
            configs = configs_of(teacher)
            is_one = configs == [teacher]
            steps[language] = []
            for i, config in enumerate(configs, start=1):
                entry = Entry(
                    "teacher",
                    f"teachers/{group}/{language}" + ("" if is_one else f"/{i}"),
                    digest(_identity(config)),
                    config["model"].get("objective"),
                    group=group,
                    language=language,
                    index=None if is_one else i,
                )
                tests = {language: self._suite.test[language], **self._suite.zero_shot}
                steps[language].append(self._step(entry, config, tests, f"teachers/{group}"))
        return steps

    def student(self, row: Row, seed: int, groups: Mapping[str, _Group]) -> Step[TrainJob]:
        config = {**deepcopy(row.config), **dict.fromkeys(_SEEDS, seed)}
        identity = config
        needs: Sequence[Step[TrainJob]] = ()
        if row.teachers is not None:
            group = groups[row.teachers]
            needs = _all(group)
            # Where the teachers and their scores lie makes no difference to the student.
            store = {**(config["model"].get("target_store") or {}), "directory": None}
            identity = _with_model(
                config,
                teachers=self._archives(row.teachers, group, lambda job: job.entry.digest),
                target_store=store,
            )
            config = _with_model(
                config,
                teachers=self._archives(
                    row.teachers, group, lambda job: f"{job.directory}/model.tar.gz"
                ),
                target_store={**store, "directory": str(self._directory / "targets")},
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
        tests = {**self._suite.test, **self._suite.zero_shot}
        step = self._step(entry, config, tests, f"students/{row.name}")
        step.needs = needs
        return step

    def fill(
        self, name: str, teachers: _Group, students: Sequence[Step[TrainJob]]
    ) -> Optional[Step[TargetsJob]]:
        """Scores the training data of a group's students, if any has yet to be trained."""
        own = [step for step in students if step.job.entry.teachers == name]
        if all(step.job.trained() is not None for step in own):
            return None
        # Students that train on the same data need the same scores.
        data = {
            digest([config["dataset_reader"], config["train_data_path"]]): config
            for config in (step.job.config for step in own)
        }
        job = TargetsJob(list(data.values()), self._packages)
        fill = Step(f"targets.{name}", job, "targets", needs=_all(teachers))
        for step in own:
            step.after = [fill]
        return fill

    def _archives(
        self, name: str, group: _Group, value: Callable[[TrainJob], str]
    ) -> Dict[str, Any]:
        """The teachers of a group as the suite writes them, each replaced by a value of its job."""
        return {
            language: with_configs_replaced(
                self._suite.teachers[name][language], [value(step.job) for step in steps]
            )
            for language, steps in group.items()
        }

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


def _all(group: _Group) -> List[Step[TrainJob]]:
    return [step for steps in group.values() for step in steps]
