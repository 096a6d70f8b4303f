"""The checks that a suite can be run at all, before anything runs."""

import re
from typing import Any, List, Mapping, Optional

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
from structkd_allennlp.suite.groups import (
    MEMBER_STEP,
    TeacherGroup,
    is_seeded,
    part_name,
)
from structkd_allennlp.suite.rows import (
    Contrast,
    Group,
    Row,
    Teacher,
    configs_of,
    with_source,
)
from structkd_allennlp.suite.section import check_type, refuse

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_CONFIG_KEYS = ("dataset_reader", "train_data_path", "model", "data_loader", "trainer")


def _check_mapping(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        refuse(key, value, "it must be an object, as in any training configuration")


def _check_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        refuse(
            key,
            name,
            "it becomes the name of a folder: use only letters, digits and _ . + -, and start with "
            "none of the last three",
        )


def check_different(key: str, names: List[str]) -> None:
    for i, name in enumerate(names):
        # Not all file systems tell upper from lower case.
        if name.lower() in [other.lower() for other in names[:i]]:
            refuse(
                f"{key}: the name",
                name,
                "it is taken (upper and lower case count as the same): use another name",
            )


def check_test_files(key: str, files: Mapping[str, str]) -> None:
    for language, path in files.items():
        if not LANGUAGE.fullmatch(language):
            refuse(f"{key}: the language", language, 'write a language code such as "es"')
        if not file_of(path).is_file():
            refuse(f"{key}.{language}", path, "there is no such file: correct the path")
    check_different(key, list(files))


def check_group(
    key: str, name: str, group: Group, languages: List[str], tests: List[CorpusFile]
) -> None:
    _check_name(f"{key}: the name", name)
    if not is_seeded(group):
        _check_by_language(key, group, languages, tests)
        return
    for option in group:
        if option not in ("config", "by_language", "seeds", "members"):
            refuse(
                f"{key}: the key",
                option,
                'there is no such key; a group has "config" or "by_language", "seeds" and perhaps '
                '"members", or else only languages',
            )
    if ("config" in group) == ("by_language" in group):
        refuse(key, sorted(group), 'give one of "config" (of all languages) and "by_language"')
    if "seeds" not in group:
        raise ConfigurationError(f"{key} lacks the key 'seeds': add it")
    _check_seeds(f"{key}.seeds", group["seeds"])
    members = group.get("members")
    if members is not None:
        check_type(f"{key}.members", members, int)
        if members < 1:
            refuse(f"{key}.members", members, "give the number of members, 1 or more")
    if "config" in group:
        _check_teacher(f"{key}.config", group["config"], tests, members, seeded=True)
    else:
        _check_mapping(f"{key}.by_language", group["by_language"])
        _check_by_language(
            f"{key}.by_language", group["by_language"], languages, tests, members, seeded=True
        )
    several = any(model.index for model in TeacherGroup(group).ensemble("", None).models)
    if several and max(group["seeds"]) >= MEMBER_STEP:
        refuse(
            f"{key}.seeds",
            group["seeds"],
            f"give seeds below {MEMBER_STEP:,}: the second model of each has its seed plus "
            "that number, and so on",
        )


def _check_by_language(
    key: str,
    by_language: Mapping[str, Teacher],
    languages: List[str],
    tests: List[CorpusFile],
    members: Optional[int] = None,
    seeded: bool = False,
) -> None:
    for language in languages:
        if language not in by_language:
            refuse(
                f"{key}: the list of languages",
                sorted(by_language),
                f'there is no teacher for {language!r}: add one, or take it out of "test"',
            )
    for language, teacher in by_language.items():
        if language not in languages:
            refuse(
                f"{key}: the language",
                language,
                f'there is no test file for it, only for {languages}: add it to "test"',
            )
        _check_teacher(f"{key}.{language}", teacher, tests, members, seeded)


def _check_teacher(
    where: str, teacher: Teacher, tests: List[CorpusFile], members: Optional[int], seeded: bool
) -> None:
    """`seeded` says that each of its models gets another seed, whatever its configuration says."""
    if not isinstance(teacher, (list, Mapping)):
        refuse(where, teacher, 'give a configuration, a list of these, or {"folds": [...]}')
    configs = configs_of(teacher)
    if isinstance(teacher, list) and not teacher:
        refuse(where, teacher, "the list is empty: give one configuration or more")
    if members is not None and (isinstance(teacher, list) or "folds" in teacher):
        refuse(
            where,
            teacher,
            'with "members", give one configuration, from which all members are made',
        )
    if "folds" in teacher:
        if len(teacher) > 1:
            refuse(where, teacher, '"folds" goes with no other key: remove the others')
        where += ".folds"
        if not isinstance(configs, list) or len(configs) < 2:
            refuse(where, configs, "cross-fitting needs a list of 2 configurations or more")
    for i, config in enumerate(configs):
        _check_config(where if config is teacher else f"{where}.{i}", config, tests)
        if config in configs[:i] and not seeded:
            refuse(
                f"{where}.{i}",
                config,
                f"it is the same as {where}.{configs.index(config)}, so it makes the same "
                'model: give each another seed ("random_seed", "numpy_seed", "pytorch_seed") '
                "or other data",
            )


def _check_seeds(key: str, seeds: Any) -> None:
    check_type(key, seeds, List[int])
    if not seeds:
        refuse(key, seeds, "give a list of one seed or more")
    if min(seeds) < 0:
        refuse(key, seeds, "give integers from 0 up")
    if len(set(seeds)) < len(seeds):
        refuse(key, seeds, "the same seed makes the same model: name each once")


def check_row(
    key: str, row: Row, groups: Mapping[str, Group], above: List[Row], tests: List[CorpusFile]
) -> None:
    _check_name(f"{key}.name", row.name)
    _check_seeds(f"{key}.seeds", row.seeds)
    _check_config(f"{key}.config", row.config, tests)
    type_ = row.config["model"].get("type")
    seeds = {other.name: other.seeds for other in above}
    parsed = {name: TeacherGroup(values) for name, values in groups.items()}
    teachers = [part_name(x, part) for x, group in parsed.items() for part in group.ensemble_names]
    models = [part_name(x, part) for x, group in parsed.items() for part in group.model_names]
    _check_start(key, row, models, seeds)
    if row.teachers is not None:
        _check_teachers(key, row, parsed, teachers, seeds)
        if type_ != "structure_kd":
            refuse(
                f"{key}.config.model.type",
                type_,
                'only a structure_kd learns from teachers: make it one, or remove "teachers"',
            )
    elif type_ == "structure_kd":
        refuse(
            f"{key}.config.model.type",
            type_,
            'say which teachers it learns from: add "teachers", one of '
            f"{[*teachers, *seeds]}, to the row",
        )


def _check_teachers(
    key: str,
    row: Row,
    groups: Mapping[str, TeacherGroup],
    teachers: List[str],
    seeds: Mapping[str, List[int]],
) -> None:
    """`teachers` of groups, and `seeds` of rows."""
    names, place = row.teacher_names, f"{key}.teachers"
    check_type(place, names, List[str])
    if not names or len(set(names)) < len(names):
        refuse(place, names, "name one or more of the teachers, each once")
    for name in names:
        if name not in (*teachers, *seeds):
            refuse(
                place,
                name,
                f'name one of the groups in "teachers", {teachers}, or a row above, {list(seeds)}',
            )
        if name not in teachers:
            _check_same_seeds(key, row, name, seeds)
        elif len(names) > 1 and name in groups and groups[name].is_cross_fitted:
            refuse(
                place,
                name,
                "who of them teaches a sentence depends on which have seen it, so cross-fitted "
                "teachers teach alone",
            )


def _check_same_seeds(key: str, row: Row, name: str, seeds: Mapping[str, List[int]]) -> None:
    if not set(row.seeds) <= set(seeds[name]):
        refuse(
            f"{key}.seeds",
            row.seeds,
            f"each learns from the model of {name!r} with the same seed, and there are "
            f"{seeds[name]}: take seeds from these, or add to these",
        )


def _check_start(key: str, row: Row, models: List[str], seeds: Mapping[str, List[int]]) -> None:
    """`models` of groups, and `seeds` of rows."""
    open_ = with_source(row.config["model"], "") != row.config["model"]
    place = f"{key}.initialize_from"
    if row.initialize_from is None:
        if open_:
            refuse(
                place,
                None,
                'an initializer of type "copied" has no "source": give it one, or name a group of '
                "teachers or a row above",
            )
        return
    if row.initialize_from not in (*seeds, *models):
        refuse(place, row.initialize_from, f"name one of the models {[*seeds, *models]}")
    if row.initialize_from not in models:
        _check_same_seeds(key, row, row.initialize_from, seeds)
    if not open_:
        refuse(
            place,
            row.initialize_from,
            'the model has no initializer of type "copied" without a "source": add one, or remove '
            "the key",
        )


def check_contrasts(contrasts: List[Contrast], rows: List[Row]) -> None:
    names = [row.name for row in rows]
    for i, contrast in enumerate(contrasts):
        for key, own in (("rows", contrast.rows), ("against", contrast.against)):
            if not own or not set(own) <= set(names):
                refuse(f"contrasts.{i}.{key}", own, f"name one or more of the rows {names}")
        used = {*contrast.rows, *contrast.against}
        if not set.intersection(*(set(row.seeds) for row in rows if row.name in used)):
            refuse(
                f"contrasts.{i}",
                contrast.name,
                "its rows have no seed in common, so they cannot be paired: give them the same",
            )
    check_different("contrasts", [contrast.name for contrast in contrasts])


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
        refuse(
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
                refuse(f"{key}.{name}", str(file), "there is no such file: correct the path")
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
