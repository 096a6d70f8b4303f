"""The jobs of a suite, and how far each has come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Generic, List, Literal, Mapping, Optional, Sequence, TypeVar, Union

from structkd_allennlp.suite.files import finished_run
from structkd_allennlp.suite.rows import Config


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
        A teacher's group, its language unless it is one of all languages, and its number, from 1,
        in an ensemble or among folds.
    row, teachers : optional
        A student's row, and what it learns from, as its row says.
    seed : optional
        A student's, or that of its group's for a teacher.
    teacher_runs, initial_run : optional
        The directories of the runs that a student learns and starts from.
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
    teacher_runs: Optional[List[str]] = None
    initial_run: Optional[str] = None


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
    learned_from : `List[Config]`
        The `dataset_reader` and `train_data_path` of all models that it learns or starts from, and
        of theirs in turn, each once.
    """

    entry: Entry
    directory: str
    config: Config
    tests: Dict[str, str]
    metric: str
    evaluation_digest: str
    include_package: List[str]
    learned_from: List[Config] = field(default_factory=list)

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
