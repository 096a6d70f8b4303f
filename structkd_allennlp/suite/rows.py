"""What a suite's file is made of: teachers, rows, and what is to be tested."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Union

from structkd_allennlp.suite.section import Section

Config = Dict[str, Any]
"""A complete training configuration."""

Teacher = Union[Config, List[Config], Dict[str, List[Config]]]
"""One teacher, an ensemble, or `{"folds": [...]}`."""

Group = Dict[str, Any]
"""
By language a `Teacher`. Or teachers that are trained anew with each of several seeds: those of all
languages, `{"config": Teacher, "seeds": [...]}`, or of each, `{"by_language": {language: Teacher},
"seeds": [...]}`; with `"members": n` each configuration makes an ensemble of so many models.
"""

SEED_KEYS = ("random_seed", "numpy_seed", "pytorch_seed")


@dataclass(frozen=True)
class Row(Section):
    """
    A way to train a student.

    # Parameters

    name : `str`
    config : `Config`
    seeds : `List[int]`
        The student is trained once with each.
    teachers : `str` or `List[str]`, optional (default = `None`)
        What a `structure_kd` model learns from: a group of teachers, one member of the ensembles in
        it, as `"GROUP/1"`, or, where no group has this name, a row above, whose students then are
        the teachers of these. From a row each student learns from the model with its own seed, from
        a group with seeds from those that `teachers_seed` says. Several of these teach together, as
        one ensemble.
    initialize_from : `str`, optional (default = `None`)
        What a student starts from: a row above, or a model of a group, which is `"GROUP"` if it is
        the only one of its seed, or else `"GROUP/LANGUAGE"`, `"GROUP/1"` or `"GROUP/LANGUAGE/1"`;
        with the same seeds as for `teachers`. It becomes the `source` of each initializer of type
        `copied` in `config` that has none.
    baseline : `str`, optional (default = `None`)
        The row that it is compared with, if that is not the baseline of the suite, such as one on
        the same fraction of the labels.
    """

    name: str
    config: Config
    seeds: List[int]
    teachers: Union[str, List[str], None] = None
    initialize_from: Optional[str] = None
    baseline: Optional[str] = None

    @property
    def teacher_names(self) -> List[str]:
        """Those of all that teach together."""
        if self.teachers is None:
            return []
        return [self.teachers] if isinstance(self.teachers, str) else self.teachers


@dataclass(frozen=True)
class Contrast(Section):
    """
    A difference that a suite is there to measure: the mean of some rows minus the mean of others,
    with the same seeds.

    # Parameters

    name : `str`
    rows : `List[str]`
    against : `List[str]`
    """

    name: str
    rows: List[str]
    against: List[str]


def configs_of(teacher: Teacher) -> List[Config]:
    """The configurations of a teacher, of an ensemble, or of the folds."""
    if isinstance(teacher, list):
        return teacher
    return teacher.get("folds", [teacher])


def with_configs_replaced(teacher: Teacher, values: Sequence[Any]) -> Any:
    """The same teacher with something else in the place of each of `configs_of`."""
    if isinstance(teacher, list):
        return list(values)
    return {"folds": list(values)} if "folds" in teacher else values[0]


def with_source(value: Any, source: str) -> Any:
    """A part of a configuration, in which initializers that copy have a source."""
    if isinstance(value, list):
        return [with_source(one, source) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "copied":
        return {"source": source, **value}
    return {key: with_source(one, source) for key, one in value.items()}


def with_seed(config: Config, seed: int) -> Config:
    return {**deepcopy(config), **dict.fromkeys(SEED_KEYS, seed)}
