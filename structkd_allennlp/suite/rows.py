"""What a suite's file is made of: teachers, rows, and what is to be tested."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Union

from structkd_allennlp.suite.section import Section

Config = Dict[str, Any]
"""A complete training configuration."""

Teacher = Union[Config, List[Config], Dict[str, List[Config]]]
"""One teacher, an ensemble, or `{"folds": [...]}`."""

Group = Dict[str, Any]
"""By language a `Teacher`, or `{"config": ..., "seeds": [...]}`: one teacher of all languages."""


@dataclass(frozen=True)
class Row(Section):
    """
    A way to train a student.

    # Parameters

    name : `str`
    config : `Config`
    seeds : `List[int]`
        The student is trained once with each.
    teachers : `str`, optional (default = `None`)
        What a `structure_kd` model learns from: a group of teachers or, where no group has this
        name, a row above, whose students then are the teachers of these. From a row, and from a
        group with seeds, each student learns from the model with its own seed.
    initialize_from : `str`, optional (default = `None`)
        What a student starts from: the model of a group with seeds or of a row above, with its own
        seed; or the only teacher of a language in another group, as `"GROUP/LANGUAGE"`. It becomes
        the `source` of each initializer of type `copied` in `config` that has none.
    """

    name: str
    config: Config
    seeds: List[int]
    teachers: Optional[str] = None
    initialize_from: Optional[str] = None


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


def is_multilingual(group: Group) -> bool:
    """Whether it is one teacher of all languages."""
    return set(group) == {"config", "seeds"}


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
