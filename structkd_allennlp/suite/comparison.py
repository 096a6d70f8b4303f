"""The results of a suite, summarised: what each row and each group of teachers scores."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Sequence,
    Tuple,
    TypedDict,
)

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json

RESULTS_NAME = "results.json"

Scores = Dict[str, float]
"""By language, in percent."""


class ContrastSummary(TypedDict):
    name: str
    rows: List[str]
    against: List[str]


class SuiteSummary(TypedDict):
    title: str
    description: str
    metric: str
    languages: List[str]
    zero_shot: List[str]
    baseline: str
    # By row, where it is another.
    baselines: NotRequired[Dict[str, str]]
    rows: List[str]
    teacher_groups: List[str]
    contrasts: NotRequired[List[ContrastSummary]]


Epoch = TypedDict(
    "Epoch",
    {"epoch": int, "seconds": float, "validation": Optional[float], "lambda": Optional[float]},
)


class TrainingData(TypedDict):
    """
    How much a run was trained on. `teachers` are all models that it has learnt or been copied from,
    and theirs in turn: what several have seen counts once. It is `None` where that is not known.
    """

    labelled_sentences: int
    labelled_tokens: int
    unlabelled_sentences: int
    unlabelled_tokens: int
    teachers_labelled_sentences: Optional[int]
    teachers_labelled_tokens: Optional[int]


class Run(TypedDict):
    """
    One training run. The keys after `directory` are there only once the run is done. Of those that
    need not be there, runs of earlier versions have none.
    """

    kind: Literal["teacher", "student"]
    group: Optional[str]
    language: Optional[str]
    index: Optional[int]
    row: Optional[str]
    seed: Optional[int]
    objective: Optional[Dict[str, Any]]
    teachers: Optional[str]
    # The directories of the runs that a student learns and starts from.
    teacher_runs: NotRequired[Optional[List[str]]]
    initial_run: NotRequired[Optional[str]]
    status: Literal["done", "failed", "waiting"]
    error: Optional[str]
    directory: str
    parameters: int
    archive_bytes: int
    # By namespace, how many words, characters and labels the model knows.
    vocabulary: NotRequired[Dict[str, int]]
    data: NotRequired[Optional[TrainingData]]
    seconds: float
    # `dev_average` is "macro", over languages, or "micro", over all sentences together.
    dev: Optional[float]
    dev_average: NotRequired[Optional[Literal["macro", "micro"]]]
    scores: Scores
    # By language, how many test sentences are also in the labelled training data, and how many
    # there are; and which are in the labelled and in the unlabelled, as `repeated.indexes` reads.
    repeated: NotRequired[Dict[str, Tuple[int, int]]]
    repeated_sentences: NotRequired[Dict[Literal["labelled", "unlabelled"], Dict[str, str]]]
    # Where and with what it was trained; all revisions of the code, if it was recovered.
    environment: NotRequired[Dict[str, Any]]
    revisions: NotRequired[List[Optional[str]]]
    epochs: List[Epoch]
    recovered: NotRequired[bool]


class Results(TypedDict):
    """The content of `results.json`."""

    suite: SuiteSummary
    environment: Dict[str, Any]
    runs: List[Run]


class Column(NamedTuple):
    """A column of the tables: one language, or the mean over several."""

    title: str
    languages: List[str]

    def of(self, scores: Scores) -> Optional[float]:
        if not all(language in scores for language in self.languages):
            return None
        return statistics.fmean(scores[language] for language in self.languages)


class Spread(NamedTuple):
    """The mean of some values and, if there are two or more, their standard deviation."""

    mean: float
    deviation: Optional[float]

    @classmethod
    def over(cls, values: Iterable[float]) -> Optional["Spread"]:
        values = list(values)
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")


@dataclass(frozen=True)
class System:
    """
    A line of the tables: a row of the suite, or a group of teachers.

    # Parameters

    name : `str`
    planned : `List[Run]`
        All its runs, including those that are waiting or have failed.
    samples : `Dict[Optional[int], Scores]`
        The scores by seed. A group of teachers of single languages, which has no seeds, is a single
        sample.
    """

    name: str
    planned: List[Run]
    samples: Dict[Optional[int], Scores]

    @property
    def runs(self) -> List[Run]:
        """Those that are done."""
        return _done(self.planned)

    @property
    def development(self) -> Optional[float]:
        """The mean score on development data, over the runs that have one."""
        return mean_of(run["dev"] for run in self.runs if run["dev"] is not None)

    def values(self, column: Column) -> Dict[Optional[int], float]:
        """By seed."""
        scores = {seed: column.of(sample) for seed, sample in self.samples.items()}
        return {seed: score for seed, score in scores.items() if score is not None}

    def spread(self, column: Column) -> Optional[Spread]:
        return Spread.over(self.values(column).values())


class Comparison:
    """
    # Parameters

    results : `Results`
        May be partial: a system without finished runs has no scores.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.suite = results["suite"]
        self.average = Column("average", self.suite["languages"])
        self.zero_shot_average = Column("zero-shot average", self.suite["zero_shot"])
        self.columns = [Column(x, [x]) for x in self.suite["languages"]] + [self.average]
        if self.suite["zero_shot"]:
            self.columns += [Column(x, [x]) for x in self.suite["zero_shot"]]
            self.columns.append(self.zero_shot_average)
        self.teachers = {group: self._teachers(group) for group in self.suite["teacher_groups"]}
        self.rows = [self._row(row) for row in self.suite["rows"]]
        self.baseline = next(row for row in self.rows if row.name == self.suite["baseline"])

    @classmethod
    def read(cls, directory: Path) -> "Comparison":
        """
        # Raises

        `ConfigurationError` if `directory` has no results.
        """
        path = directory / RESULTS_NAME
        try:
            return cls(read_json(path))
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} does not exist: run `allennlp distillation-suite` with -s {directory}"
            ) from None
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"{path} is not JSON ({error}): run `allennlp distillation-suite` again to "
                "rewrite it"
            ) from error

    @property
    def has_contrasts(self) -> bool:
        """Whether the suite says what is tested. Otherwise it is each row against the baseline."""
        return bool(self.suite.get("contrasts"))

    @property
    def contrasts(self) -> List[ContrastSummary]:
        """What is tested."""
        return self.suite.get("contrasts") or [
            {"name": row.name, "rows": [row.name], "against": [baseline.name]}
            for row in self.rows
            if (baseline := self.baseline_of(row)) is not None
        ]

    @property
    def compared(self) -> Dict[str, str]:
        """By row, the name of the contrast between this row alone and its baseline alone."""
        found: Dict[str, str] = {}
        for row in self.rows:
            baseline = self.baseline_of(row)
            for one in self.contrasts:
                if baseline and (one["rows"], one["against"]) == ([row.name], [baseline.name]):
                    found[row.name] = one["name"]
        return found

    def baseline_of(self, row: System) -> Optional[System]:
        """`None` for a row that is a baseline itself, and names no other."""
        own = self.suite.get("baselines", {})
        if row.name not in own and row.name in (self.baseline.name, *own.values()):
            return None
        name = own.get(row.name, self.baseline.name)
        return next(other for other in self.rows if other.name == name)

    def best(self) -> Optional[System]:
        """
        The best student, chosen by its mean development score, among the baseline of the suite and
        the rows that are compared with it. Rows with one seed are left out. `None` where no row is
        compared, as in a suite whose rows differ in more than one thing.
        """
        others = self.suite.get("baselines", {})
        names = [name for name in self.compared if name not in others]
        scores = {
            row.name: row.development
            for row in self.rows
            if row.name in names or row is self.baseline
            if len(row.samples) > 1 and row.development is not None
        }
        best = max(scores, key=lambda name: scores[name] or 0, default=None)
        return next(row for row in self.rows if row.name == best) if names and best else None

    @property
    def metric(self) -> str:
        """The name of the metric in running text."""
        return {"f1-measure": "F1"}.get(self.suite["metric"], self.suite["metric"])

    @property
    def systems(self) -> List[System]:
        return [*self.teachers.values(), *self.rows]

    def gains(self, row: System, column: Column) -> Dict[Optional[int], float]:
        """By how much the row beats its baseline with the same seed, by seed."""
        own = self.baseline_of(row)
        baseline = own.values(column) if own else {}
        values = row.values(column).items()
        return {seed: value - baseline[seed] for seed, value in values if seed in baseline}

    def teachers_of(self, row: System) -> System:
        """The models that the students of a row learn from, by the seeds of the students."""
        planned = {run["seed"]: self.teacher_runs(run) for run in row.planned}
        merged = {seed: self._merged(runs) for seed, runs in planned.items()}
        return System(
            f"teachers of {row.name}",
            list({run["directory"]: run for runs in planned.values() for run in runs}.values()),
            {seed: scores for seed, scores in merged.items() if scores},
        )

    def gap_closed(self, row: System) -> Optional[float]:
        """
        (row - baseline) / (teachers - baseline), of the averages over languages and over the seeds
        that have all three, each with the teachers that it learns from; `None` for a row without
        teachers or baseline, and where the teachers are not better than the baseline with each
        seed: a share of next to nothing says nothing.
        """
        baseline = self.baseline_of(row)
        if baseline is None:
            return None
        students, baselines, teachers = (
            system.values(self.average) for system in (row, baseline, self.teachers_of(row))
        )
        seeds = [seed for seed in students if seed in baselines and seed in teachers]
        gain = sum(students[seed] - baselines[seed] for seed in seeds)
        gaps = [teachers[seed] - baselines[seed] for seed in seeds]
        return gain / sum(gaps) if gaps and min(gaps) > 0 else None

    def _row(self, name: str) -> System:
        planned = [run for run in self.results["runs"] if run["row"] == name]
        return System(name, planned, {run["seed"]: run["scores"] for run in _done(planned)})

    def _teachers(self, group: str) -> System:
        planned = [run for run in self.results["runs"] if run["group"] == group]
        by_seed = {run["seed"]: [x for x in planned if x["seed"] == run["seed"]] for run in planned}
        merged = {seed: self._merged(runs) for seed, runs in by_seed.items()}
        samples = {seed: scores for seed, scores in merged.items() if scores}
        return System(f"teachers ({group})", planned, samples)

    def _merged(self, teachers: List[Run]) -> Scores:
        """
        The score of a language is the mean over the teachers that know it, that of a zero-shot
        language the mean over all of them. It is missing until all of them are done: a mean over
        some of them would be another quantity.
        """
        merged: Scores = {}
        for language in self.suite["languages"] + self.suite["zero_shot"]:
            own = [run for run in teachers if run["language"] in (None, language)]
            concerned = own if language in self.suite["languages"] else teachers
            done = [run for run in _done(concerned) if language in run["scores"]]
            if done and len(done) == len(concerned):
                merged[language] = statistics.fmean(run["scores"][language] for run in done)
        return merged

    def teacher_runs(self, run: Run) -> List[Run]:
        """Those of all models that a student learns from."""
        name, runs = run["teachers"], self.results["runs"]
        if name is None:
            return []
        if "teacher_runs" in run:
            names = run["teacher_runs"] or []
            return [other for other in runs if other["directory"] in names]
        # Results from before that was written down.
        group = [other for other in runs if other["group"] == name]
        named = group or [other for other in runs if other["row"] == name]
        return [other for other in named if other["seed"] in (None, run["seed"])]


def _done(runs: List[Run]) -> List[Run]:
    return [run for run in runs if run["status"] == "done"]


def mean_of(values: Iterable[float]) -> Optional[float]:
    values = list(values)
    return statistics.fmean(values) if values else None


def best_of(systems: Sequence[System], column: Column) -> Optional[System]:
    """The best system, the first of several; `None` if none has a score."""
    means = {system.name: spread.mean for system in systems if (spread := system.spread(column))}
    scored = [system for system in systems if system.name in means]
    return max(scored, key=lambda system: means[system.name], default=None)
