"""Groups of teachers: the models that they consist of, and what students learn and start from."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence

from structkd_allennlp.suite.rows import (
    Config,
    Group,
    Teacher,
    configs_of,
    with_configs_replaced,
    with_seed,
)

MEMBER_STEP = 1_000_000
"""By how much the seeds of the members of an ensemble differ; those of a suite are less."""

_SEEDED_KEYS = {"config", "by_language", "seeds", "members"}


@dataclass(frozen=True)
class TeacherModel:
    """
    One model of a group.

    # Parameters

    config : `Config`
    language : `str`, optional
        Its only one.
    index : `int`, optional
        Its number, from 1, in an ensemble or among folds.
    seed : `int`, optional
        That of the group which it belongs to.
    """

    config: Config
    language: Optional[str]
    index: Optional[int]
    seed: Optional[int]

    @property
    def name(self) -> str:
        """Within the group, whatever the seed; empty for the only one."""
        return "/".join(str(x) for x in (self.language, self.index) if x is not None)

    @property
    def place(self) -> str:
        """Its path within that of the group."""
        seed = None if self.seed is None else f"seed{self.seed}"
        return "/".join(x for x in (seed, self.name) if x)


@dataclass(frozen=True)
class Ensemble:
    """
    Models that teach together.

    # Parameters

    models : `List[TeacherModel]`
    form : `Callable`
        From a value of each model to what a `structure_kd` has as its `teachers`.
    """

    models: List[TeacherModel]
    form: Callable[[Sequence[Any]], Any]


class TeacherGroup:
    """
    # Parameters

    values : `Group`
        As a suite has it.
    """

    def __init__(self, values: Group) -> None:
        self.seeds: Optional[List[int]] = values["seeds"] if is_seeded(values) else None
        # `None` are all languages.
        self._teachers: Dict[Optional[str], Teacher] = dict(values.items())
        if self.seeds is not None:
            own = values.get("by_language") or {None: values["config"]}
            if "members" in values:
                own = {language: [config] * values["members"] for language, config in own.items()}
            self._teachers = own

    @property
    def is_cross_fitted(self) -> bool:
        return any("folds" in teacher for teacher in self._teachers.values())

    @property
    def model_names(self) -> List[str]:
        """Of its models, whatever the seed."""
        return [model.name for model in self._models(None)]

    @property
    def ensemble_names(self) -> List[str]:
        """
        Of what can teach: `""`, all of it, and `"1"` and so on, the members of its ensembles. Folds
        teach only together.
        """
        sizes = [len(x) if isinstance(x, list) else 0 for x in self._teachers.values()]
        return ["", *(str(i) for i in range(1, min(sizes) + 1))]

    def ensemble(self, name: str, seed: Optional[int]) -> Ensemble:
        """One of `ensemble_names`, of one of the group's seeds."""
        models = self._models(seed)
        if name:
            models = [model for model in models if model.index == int(name)]

        def form(values: Sequence[Any]) -> Any:
            left = iter(values)
            by_language = {
                language: next(left)
                if name
                else with_configs_replaced(teacher, [next(left) for _ in configs_of(teacher)])
                for language, teacher in self._teachers.items()
            }
            return by_language.get(None, by_language)

        return Ensemble(models, form)

    def _models(self, seed: Optional[int]) -> List[TeacherModel]:
        models = []
        for language, teacher in self._teachers.items():
            configs = configs_of(teacher)
            for i, config in enumerate(configs, start=1):
                if seed is not None:
                    config = with_seed(config, seed + (i - 1) * MEMBER_STEP)
                index = None if configs == [teacher] else i
                models.append(TeacherModel(config, language, index, seed))
        return models


def together(teachers: Sequence[Any]) -> Any:
    """
    One ensemble of several `teachers` of a `structure_kd`, none of which are cross-fitted; where
    some of them are by language, one of each language.
    """
    if len(teachers) == 1:
        return teachers[0]
    by_language = [own for own in teachers if isinstance(own, dict)]
    if not by_language:
        return [one for own in teachers for one in (own if isinstance(own, list) else [own])]
    return {
        language: together(
            [
                own[language] if isinstance(own, dict) else own
                for own in teachers
                if not isinstance(own, dict) or language in own
            ]
        )
        for language in dict.fromkeys(language for own in by_language for language in own)
    }


def part_name(group: str, part: str) -> str:
    """What a suite calls a part of a group; the empty one is the group itself."""
    return f"{group}/{part}" if part else group


def is_seeded(values: Group) -> bool:
    """Whether there are models for each of several seeds."""
    return bool(_SEEDED_KEYS & set(values))


def teachers_seed(student_seed: int, seeds: Sequence[int]) -> int:
    """
    That of the teachers of a student: its own or, where they lack it, the next of theirs in turn.
    Of teachers with the seeds 1 and 2, the students 1 to 5 have 1, 2, 1, 2 and 1.

    It depends on nothing but seeds, so that students with the same seed always have the same.
    """
    return student_seed if student_seed in seeds else seeds[(student_seed - 1) % len(seeds)]
