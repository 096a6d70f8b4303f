"""The specification of a suite: what it compares."""

from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.corpus_paths import CorpusFile
from structkd_allennlp.suite.checks import (
    check_contrasts,
    check_different,
    check_group,
    check_row,
    check_test_files,
)
from structkd_allennlp.suite.rows import Contrast, Group, Row
from structkd_allennlp.suite.section import Section, refuse

METRICS = ("f1-measure", "accuracy")


@dataclass(frozen=True)
class Suite(Section):
    """
    A comparison of ways to train a student: with teachers and without, each with several seeds.

    # Parameters

    title : `str`
    metric : `str`
        `"f1-measure"` (of spans) or `"accuracy"` (of tokens).
    test : `Dict[str, str]`
        The test file of each language.
    rows : `List[Row]`
        In the order of the table.
    baseline : `str`
        The row that the others are compared with, unless they name another.
    teachers : `Dict[str, Group]`, optional
        By group and language the teacher's configuration, a list of configurations (an ensemble),
        or `{"folds": [...]}` (cross-fitted teachers). Groups with `"seeds"` are trained anew with
        each: see `rows.Group`.
    zero_shot : `Dict[str, str]`, optional
        The test files of languages that nothing is trained on.
    description : `str`, optional (default = `""`)
    contrasts : `List[Contrast]`, optional
        What is tested, in the order of the table. Without any, each row is tested against the
        baseline.
    needs : `Dict[str, str]`, optional
        By the path of a file or a directory that configurations read, such as an encoder, how to
        make it.

    # Raises

    `ConfigurationError` for whatever would make a run fail or the comparison void, as far as it can
    be seen before anything runs.
    """

    title: str
    metric: str
    test: Dict[str, str]
    rows: List[Row]
    baseline: str
    teachers: Dict[str, Group] = field(default_factory=dict)
    zero_shot: Dict[str, str] = field(default_factory=dict)
    description: str = ""
    contrasts: List[Contrast] = field(default_factory=list)
    needs: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, remedy in self.needs.items():
            if not Path(path).exists():
                raise ConfigurationError(f"needs: {path} does not exist: {remedy}")
        if self.metric not in METRICS:
            refuse("metric", self.metric, f"use one of {', '.join(METRICS)}")
        check_test_files("test", self.test)
        if not self.test:
            refuse("test", self.test, "give the test file of each language, by language")
        check_test_files("zero_shot", self.zero_shot)
        for language in self.zero_shot:
            if language in self.test:
                refuse(
                    f"zero_shot.{language}",
                    self.zero_shot[language],
                    'the language is also in "test": keep it in one of them ("zero_shot" is for '
                    "languages that nothing is trained on)",
                )
        tests = [CorpusFile(path) for path in (*self.test.values(), *self.zero_shot.values())]
        for group, by_language in self.teachers.items():
            check_group(f"teachers.{group}", group, by_language, self.languages, tests)
        check_different("teachers", list(self.teachers))
        if not self.rows:
            refuse("rows", self.rows, "give a list of one row or more")
        for i, row in enumerate(self.rows):
            check_row(f"rows.{i}", row, self.teachers, self.rows[:i], tests)
        names = [row.name for row in self.rows]
        check_different("rows", names)
        if self.baseline not in names:
            refuse("baseline", self.baseline, f"name one of the rows {names}")
        for i, row in enumerate(self.rows):
            if row.baseline is not None and (row.baseline == row.name or row.baseline not in names):
                refuse(f"rows.{i}.baseline", row.baseline, f"name another of the rows {names}")
        check_contrasts(self.contrasts, self.rows)

    @classmethod
    def from_file(cls, path: str, overrides: Union[str, Dict[str, Any]] = "") -> "Suite":
        return cls.from_dict(Params.from_file(path, overrides).as_dict(quiet=True), path)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the suite") -> "Suite":
        """`source` is what errors call it, such as the path of its file."""
        try:
            return cls.from_params(Params(deepcopy(dict(values))))
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}: {error.message}") from error

    def as_dict(self) -> Dict[str, Any]:
        # Without what was left out, so that a suite keeps its digest when there are more keys.
        values = asdict(self)
        for row in values["rows"]:
            for key in ("initialize_from", "baseline"):
                if row[key] is None:
                    del row[key]
        return {key: x for key, x in values.items() if x or key not in ("contrasts", "needs")}

    @property
    def languages(self) -> List[str]:
        return list(self.test)
