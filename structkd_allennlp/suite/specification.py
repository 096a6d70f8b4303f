"""The specification of a suite: what it compares, and the checks that it can be run at all."""

import re
from copy import deepcopy
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from allennlp.common import FromParams, Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader

from structkd_allennlp.data.corpus_paths import (
    LANGUAGE,
    CorpusFile,
    file_of,
    files_of,
    files_of_languages,
)
from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.overlap import check_folds

Config = Dict[str, Any]
"""A complete training configuration."""

Teacher = Union[Config, List[Config], Dict[str, List[Config]]]
"""One teacher, an ensemble, or `{"folds": [...]}`."""

METRICS = ("f1-measure", "accuracy")
S = TypeVar("S", bound="_Section")

_REMEDIES = {
    str: "write a string",
    int: "write an integer",
    list: "give a list",
    dict: "it must be an object",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_CONFIG_KEYS = ("dataset_reader", "train_data_path", "model", "data_loader", "trainer")


class _Section(FromParams):
    """
    A dataclass that is a part of a suite's file. `from_params` refuses keys that are missing,
    unknown or of another type, and says where in the file they are.
    """

    @classmethod
    def from_params(cls: Type[S], params: Params, **extras: Any) -> S:  # type: ignore[override]
        place = params.history
        where = place.rstrip(".") or "the suite"
        own = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
        for key in params:
            if key not in own:
                _refuse(f"{where}: the key", key, f"there is no such key; the keys are {list(own)}")
        for key, one in own.items():
            if key in params:
                continue
            if one.default_factory is not MISSING:
                # AllenNLP would take the marker "has a factory" for the value.
                params[key] = one.default_factory()
            elif one.default is MISSING:
                raise ConfigurationError(f"{where} lacks the key {key!r}: add it")
        hints = get_type_hints(cls)
        for key, value in params.as_dict(quiet=True).items():
            _check_type(f"{place}{key}", value, hints[key])
        return super().from_params(params, **extras)


@dataclass(frozen=True)
class Row(_Section):
    """
    A way to train a student.

    # Parameters

    name : `str`
    config : `Config`
    seeds : `List[int]`
        The student is trained once with each.
    teachers : `str`, optional (default = `None`)
        The group of teachers that a `structure_kd` model learns from.
    """

    name: str
    config: Config
    seeds: List[int]
    teachers: Optional[str] = None


@dataclass(frozen=True)
class Suite(_Section):
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
        The row that the others are compared with.
    teachers : `Dict[str, Dict[str, Teacher]]`, optional
        By group and language the teacher's configuration, a list of configurations (an ensemble),
        or `{"folds": [...]}` (cross-fitted teachers).
    zero_shot : `Dict[str, str]`, optional
        The test files of languages that nothing is trained on.
    description : `str`, optional (default = `""`)

    # Raises

    `ConfigurationError` for whatever would make a run fail or the comparison void, as far as it can
    be seen before anything runs.
    """

    title: str
    metric: str
    test: Dict[str, str]
    rows: List[Row]
    baseline: str
    teachers: Dict[str, Dict[str, Teacher]] = field(default_factory=dict)
    zero_shot: Dict[str, str] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            _refuse("metric", self.metric, f"use one of {', '.join(METRICS)}")
        _check_test_files("test", self.test)
        if not self.test:
            _refuse("test", self.test, "give the test file of each language, by language")
        _check_test_files("zero_shot", self.zero_shot)
        for language in self.zero_shot:
            if language in self.test:
                _refuse(
                    f"zero_shot.{language}",
                    self.zero_shot[language],
                    'the language is also in "test": keep it in one of them ("zero_shot" is for '
                    "languages that nothing is trained on)",
                )
        tests = [CorpusFile(path) for path in (*self.test.values(), *self.zero_shot.values())]
        for group, by_language in self.teachers.items():
            _check_group(f"teachers.{group}", group, by_language, self.languages, tests)
        _check_different("teachers", list(self.teachers))
        if not self.rows:
            _refuse("rows", self.rows, "give a list of one row or more")
        for i, row in enumerate(self.rows):
            _check_row(f"rows.{i}", row, list(self.teachers), tests)
        names = [row.name for row in self.rows]
        _check_different("rows", names)
        if self.baseline not in names:
            _refuse("baseline", self.baseline, f"name one of the rows {names}")

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
        return asdict(self)

    @property
    def languages(self) -> List[str]:
        return list(self.test)


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


def _refuse(key: str, value: Any, remedy: str) -> NoReturn:
    shown = repr(value)
    raise ConfigurationError(f"{key} is {shown[:200]}{'...' * (len(shown) > 200)}: {remedy}")


def _check_type(key: str, value: Any, hint: Any) -> None:
    """Only as far as there is but one type, or `None`."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Union:
        options = [x for x in arguments if x is not type(None)]
        if len(options) == 1 and value is not None:
            _check_type(key, value, options[0])
        return
    if isinstance(origin, type) and issubclass(origin, _Section):
        origin = dict
    # A bool is an int to Python.
    if origin in _REMEDIES and (not isinstance(value, origin) or isinstance(value, bool)):
        _refuse(key, value, _REMEDIES[origin])
    if origin is list and arguments:
        for i, one in enumerate(value):
            _check_type(f"{key}.{i}", one, arguments[0])
    elif origin is dict and arguments:
        for name, one in value.items():
            _check_type(f"{key}.{name}", one, arguments[1])


def _check_mapping(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        _refuse(key, value, "it must be an object, as in any training configuration")


def _check_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        _refuse(
            key,
            name,
            "it becomes the name of a folder: use only letters, digits and _ . + -, and start with "
            "none of the last three",
        )


def _check_different(key: str, names: List[str]) -> None:
    for i, name in enumerate(names):
        # Not all file systems tell upper from lower case.
        if name.lower() in [other.lower() for other in names[:i]]:
            _refuse(
                f"{key}: the name",
                name,
                "it is taken (upper and lower case count as the same): use another name",
            )


def _check_test_files(key: str, files: Mapping[str, str]) -> None:
    for language, path in files.items():
        if not LANGUAGE.fullmatch(language):
            _refuse(f"{key}: the language", language, 'write a language code such as "es"')
        if not file_of(path).is_file():
            _refuse(f"{key}.{language}", path, "there is no such file: correct the path")
    _check_different(key, list(files))


def _check_group(
    key: str,
    name: str,
    by_language: Mapping[str, Teacher],
    languages: List[str],
    tests: List[CorpusFile],
) -> None:
    _check_name(f"{key}: the name", name)
    for language in languages:
        if language not in by_language:
            _refuse(
                f"{key}: the list of languages",
                sorted(by_language),
                f'there is no teacher for {language!r}: add one, or take it out of "test"',
            )
    for language, teacher in by_language.items():
        where = f"{key}.{language}"
        if language not in languages:
            _refuse(
                f"{key}: the language",
                language,
                f'there is no test file for it, only for {languages}: add it to "test"',
            )
        if not isinstance(teacher, (list, Mapping)):
            _refuse(where, teacher, 'give a configuration, a list of these, or {"folds": [...]}')
        configs = configs_of(teacher)
        if isinstance(teacher, list) and not teacher:
            _refuse(where, teacher, "the list is empty: give one configuration or more")
        if "folds" in teacher:
            if len(teacher) > 1:
                _refuse(where, teacher, '"folds" goes with no other key: remove the others')
            where += ".folds"
            if not isinstance(configs, list) or len(configs) < 2:
                _refuse(where, configs, "cross-fitting needs a list of 2 configurations or more")
        for i, config in enumerate(configs):
            _check_config(where if config is teacher else f"{where}.{i}", config, tests)
            if config in configs[:i]:
                _refuse(
                    f"{where}.{i}",
                    config,
                    f"it is the same as {where}.{configs.index(config)}, so it makes the same "
                    'model: give each another seed ("random_seed", "numpy_seed", "pytorch_seed") '
                    "or other data",
                )


def _check_row(key: str, row: Row, groups: List[str], tests: List[CorpusFile]) -> None:
    _check_name(f"{key}.name", row.name)
    if not row.seeds:
        _refuse(f"{key}.seeds", row.seeds, "give a list of one seed or more")
    if min(row.seeds) < 0:
        _refuse(f"{key}.seeds", row.seeds, "give integers from 0 up")
    if len(set(row.seeds)) < len(row.seeds):
        _refuse(f"{key}.seeds", row.seeds, "the same seed makes the same model: name each once")
    _check_config(f"{key}.config", row.config, tests)
    type_ = row.config["model"].get("type")
    if row.teachers is not None:
        if row.teachers not in groups:
            _refuse(
                f"{key}.teachers",
                row.teachers,
                f'name one of the groups in "teachers", {groups}',
            )
        if type_ != "structure_kd":
            _refuse(
                f"{key}.config.model.type",
                type_,
                'only a structure_kd learns from teachers: make it one, or remove "teachers"',
            )
    elif type_ == "structure_kd":
        _refuse(
            f"{key}.config.model.type",
            type_,
            f'say which teachers it learns from: add "teachers", one of {groups}, to the row',
        )


def _check_config(key: str, config: Any, tests: List[CorpusFile]) -> None:
    _check_mapping(key, config)
    for name in _CONFIG_KEYS:
        if name not in config:
            raise ConfigurationError(
                f"{key} lacks the key {name!r}: give a complete training configuration"
            )
    for name in ("dataset_reader", "model", "data_loader", "trainer"):
        _check_mapping(f"{key}.{name}", config[name])
    if "distributed" in config:
        _refuse(
            f"{key}.distributed",
            config["distributed"],
            "a suite trains each model in one process, several models at a time: remove it",
        )
    data = {"test files": tests}
    for name in ("train_data_path", "validation_data_path"):
        if config.get(name) is None:
            continue
        try:
            data[name] = _files(config[name], config["dataset_reader"])
            files = [file_of(file.path) for file in data[name]]
        except ConfigurationError as error:
            raise ConfigurationError(f"{key}.{name}: {error.message}") from error
        for file in files:
            if not file.is_file():
                _refuse(f"{key}.{name}", str(file), "there is no such file: correct the path")
    try:
        check_folds(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}: {error.message}") from error


def _files(path: Any, reader: Mapping[str, Any]) -> List[CorpusFile]:
    """The files that a path of a configuration stands for; none for other readers than ours."""
    try:
        class_: Any = DatasetReader.by_name(reader.get("type", ""))
    except ConfigurationError:
        return []
    if class_ is MultilingualReader:
        languages = reader.get("languages")
        if languages is None:
            return files_of(path, list(reader.get("readers") or {}))
        return files_of_languages(path, languages)
    is_ours = isinstance(class_, type) and issubclass(class_, TaggingReader)
    return [CorpusFile(path)] if is_ours and isinstance(path, str) else []
