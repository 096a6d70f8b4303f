"""A suite that cannot be run is refused before anything starts, with what to do about it."""

import copy
import re

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.suite.rows import Row, configs_of, with_configs_replaced
from structkd_allennlp.suite.specification import Suite

SUITE = "training_configs/suites/fixtures.jsonnet"


@pytest.fixture(scope="module")
def fixtures():
    return Suite.from_file(SUITE).as_dict()


@pytest.fixture
def values(fixtures):
    return copy.deepcopy(fixtures)


def test_the_suite_of_the_fixtures(values):
    suite = Suite.from_dict(values)
    assert suite.as_dict() == values
    assert list(suite.test) == ["en", "es"]
    assert [row.name for row in suite.rows] == ["baseline", "posterior", "structural"]
    assert [row.teachers for row in suite.rows] == [None, "crf", "crf"]
    # What may be left out.
    for key in ("description", "zero_shot"):
        del values[key]
    values["rows"], values["teachers"] = values["rows"][:1], {}
    assert Suite.from_dict(values).zero_shot == {}


def test_in_python(values):
    """The same checks but for the types, which are mypy's."""
    rows = [Row(**row) for row in values["rows"]]
    suite = Suite(**{**values, "rows": rows})
    assert suite == Suite.from_params(Params(copy.deepcopy(values)))
    with pytest.raises(ConfigurationError, match=r"^baseline is 'x': name one of the rows"):
        Suite(**{**values, "rows": rows, "baseline": "x"})


def test_overrides():
    suite = Suite.from_file(SUITE, '{"rows.1.seeds": [7], "baseline": "posterior"}')
    assert [row.seeds for row in suite.rows] == [[1, 2], [7], [1, 2]]
    assert suite.baseline == "posterior"


def test_the_forms_of_a_teacher():
    one, two = {"model": {}}, {"model": {"x": 1}}
    for teacher in (one, [one, two], {"folds": [one, two]}):
        configs = configs_of(teacher)
        assert configs in ([one], [one, two])
        assert with_configs_replaced(teacher, configs) == teacher
    assert with_configs_replaced({"folds": [one, two]}, "ab") == {"folds": ["a", "b"]}


def put(path, value):
    def change(values):
        *parents, last = path.split("/")
        for key in parents:
            values = values[int(key) if isinstance(values, list) else key]
        values[int(last) if isinstance(values, list) else last] = value

    return change


def drop(path):
    def change(values):
        *parents, last = path.split("/")
        for key in parents:
            values = values[int(key) if isinstance(values, list) else key]
        del values[last]

    return change


def twice(values):
    values["teachers"]["crf"]["en"] = [values["teachers"]["crf"]["en"]] * 2


def one_fold(values):
    values["teachers"]["crf"]["en"] = {"folds": [values["teachers"]["crf"]["en"]]}


def copied(name, **changes):
    """The second row starts from another model."""

    def change(values):
        regexes = [[".*", {"type": "copied", **changes}]]
        values["rows"][1]["config"]["model"]["student"]["initializer"] = {"regexes": regexes}
        values["rows"][1] |= {} if name is None else {"initialize_from": name}

    return change


def contrast(**changes):
    own = {"name": "gain", "rows": ["posterior"], "against": ["baseline"], **changes}
    return put("contrasts", [own])


def multilingual(seeds, **more):
    """One teacher of all languages, for a row with the seeds 1 and 2."""

    def change(values):
        config = values["rows"][0]["config"]
        values["teachers"] = {"crf": {"config": config, "seeds": seeds, **more}}

    return change


def folds(more):
    def change(values):
        config = values["rows"][0]["config"]
        values["teachers"] = {"crf": {"config": {"folds": [config] * 2}, "seeds": [1], **more}}

    return change


def cross_fitted_beside_another(values):
    path = values["rows"][0]["config"]["train_data_path"]
    folds = [
        {**values["rows"][0]["config"], "train_data_path": f"{path}#not-fold={i}of2"}
        for i in (1, 2)
    ]
    values["teachers"]["folds"] = {"config": {"folds": folds}, "seeds": [1, 2]}
    values["rows"][1]["teachers"] = ["crf", "folds"]


def taught_by(row, seeds):
    def change(values):
        values["rows"][1] |= {"teachers": row, "seeds": seeds}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("colour", 1), "the key is 'colour': there is no such key; the keys are"),
        (put("rows/0/seed", 1), "rows.0: the key is 'seed': there is no such key"),
        (drop("metric"), "the suite lacks the key 'metric'"),
        (drop("rows/1/seeds"), "rows.1 lacks the key 'seeds'"),
        (put("metric", "f1"), "metric is 'f1': use one of f1-measure, accuracy"),
        (put("title", 3), "title is 3: write a string"),
        (put("test", {}), "test is {}: give the test file of each language"),
        (put("test/en", "no/such"), "test.en is 'no/such': there is no such file"),
        (put("test/e n", "x"), "test: the language is 'e n': write a language code"),
        (put("zero_shot/pt", "no"), "zero_shot.pt is 'no': there is no such file"),
        (put("zero_shot/es", "fixtures/conll/es/test.txt"), 'zero_shot.es is .* also in "test"'),
        (put("teachers", []), r"teachers is \[\]: it must be an object"),
        (
            drop("teachers/crf/es"),
            r"teachers.crf: the list of languages is \['en'\]: .* 'es': add one",
        ),
        (put("teachers/crf/nl", {}), "teachers.crf: the language is 'nl': there is no test file"),
        (put("teachers/crf/en", "x.gz"), "teachers.crf.en is 'x.gz': give a configuration"),
        (put("teachers/crf/en", []), r"teachers.crf.en is \[\]: the list is empty"),
        (
            put("teachers/crf/en", {"folds": [{}, {}], "model": {}}),
            'teachers.crf.en is .*: "folds" goes with no other key',
        ),
        (put("teachers/crf/en", {"folds": 1}), "teachers.crf.en.folds is 1: cross-fitting needs"),
        (one_fold, "teachers.crf.en.folds is .* cross-fitting needs a list of 2"),
        (twice, "teachers.crf.en.1 is .* the same as teachers.crf.en.0.*another seed"),
        (drop("teachers/crf/en/trainer"), "teachers.crf.en lacks the key 'trainer'"),
        (put("rows", {}), "rows is {}: give a list"),
        (put("rows/1/name", "a/b"), "rows.1.name is 'a/b': it becomes the name of a folder"),
        (put("rows/1/name", ".."), "rows.1.name is '..': it becomes the name of a folder"),
        (put("rows/1/name", "Baseline"), "rows: the name is 'Baseline': it is taken"),
        (put("rows/1/seeds", []), r"rows.1.seeds is \[\]: give a list"),
        (put("rows/1/seeds", [True]), r"rows.1.seeds.0 is True: write an integer"),
        (put("rows/1/seeds", [1, "2"]), r"rows.1.seeds.1 is '2': write an integer"),
        (put("rows/1/seeds", 1), "rows.1.seeds is 1: give a list"),
        (put("rows/1/seeds", [1, -1]), r"rows.1.seeds is \[1, -1\]: give integers from 0 up"),
        (put("rows/1/name", 5), "rows.1.name is 5: write a string"),
        (put("rows/1/name", None), "rows.1.name is None: write a string"),
        (put("rows/1/teachers", 1), "rows.1.teachers is 1: write a string, or give a list"),
        (put("rows/1/teachers", [1]), "rows.1.teachers.0 is 1: write a string"),
        (put("rows/1/teachers", []), r"rows.1.teachers is \[\]: name one or more"),
        (put("rows/1/teachers", ["crf"] * 2), r"teachers is \['crf', 'crf'\]: .* each once"),
        (put("rows/1/teachers", ["crf", "x"]), "rows.1.teachers is 'x': name one of"),
        (put("rows/1", "posterior"), "rows.1 is 'posterior': it must be an object"),
        (put("test/en", ["x"]), r"test.en is \['x'\]: write a string"),
        (put("test", "x"), "test is 'x': it must be an object"),
        (put("teachers/crf", 1), "teachers.crf is 1: it must be an object"),
        (put("teachers/crf/en/model", 1), "teachers.crf.en.model is 1: it must be an object"),
        (put("baseline", 0), "baseline is 0: write a string"),
        (put("rows/1/seeds", [1, 2, 1]), r"rows.1.seeds is \[1, 2, 1\]: .* name each once"),
        (put("rows/1/teachers", "x"), r"rows.1.teachers is 'x': name one of .*\['crf'\]"),
        (put("rows/0/teachers", "crf"), "rows.0.config.model.type is 'structured_crf_tagger'"),
        (drop("rows/1/teachers"), "rows.1.config.model.type is 'structure_kd': .* \"teachers\""),
        (put("rows/1/config", 1), "rows.1.config is 1: it must be an object"),
        (put("rows/1/config/distributed", {}), "rows.1.config.distributed is {}: .* remove it"),
        (
            put("rows/1/config/train_data_path", "x/{language}.txt"),
            "rows.1.config.train_data_path is 'x/en.txt': there is no such file",
        ),
        (
            put("rows/1/config/validation_data_path", {"unlabelled": {"en": "x"}}),
            "rows.1.config.validation_data_path is 'x': there is no such file",
        ),
        (
            put("rows/1/config/train_data_path", "en=x#fold=1of2"),
            "rows.1.config.train_data_path is 'x': there is no such file",
        ),
        (
            put("rows/1/config/train_data_path", '{"en": "x"}'),
            "rows.1.config.train_data_path is 'x': there is no such file",
        ),
        (
            put("rows/1/config/train_data_path", "fixtures/conll/en/train.txt#fold=3of2"),
            "rows.1.config.train_data_path: .*train.txt#fold=3of2: .* is not a part of a file",
        ),
        (
            put("rows/1/config/train_data_path", {"en": 3}),
            "rows.1.config.train_data_path: 3 is not a path",
        ),
        (
            put("rows/1/config/train_data_path", {"en": "fixtures/conll/en/train.txt"}),
            r"rows.1.config.train_data_path: {'en'.*}: no path for 'es' of the \"languages\"",
        ),
        (
            put("teachers/crf/en/validation_data_path", "en=fixtures/conll/en/test.txt#fold=1of3"),
            r"teachers.crf.en: test files and validation_data_path have sentences in common, since"
            r" these folds overlap: .*/test.txt and .*/test.txt#fold=1of3",
        ),
        (multilingual([]), r"teachers.crf.seeds is \[\]: give a list of one"),
        (multilingual(["1"]), r"teachers.crf.seeds.0 is '1': write an integer"),
        (multilingual([1], members=0), "teachers.crf.members is 0: give the number of members"),
        (multilingual([1], members="3"), "teachers.crf.members is '3': write an integer"),
        (multilingual([1], size=3), "teachers.crf: the key is 'size': there is no such key"),
        (multilingual([1], by_language={}), r"teachers.crf is \['by_language', .*: give one of"),
        (multilingual([5, 10**6], members=2), r"crf.seeds is \[5, .*: give seeds below 1,000,000"),
        (folds({"members": 2}), 'teachers.crf.config is .*: with "members", give one config'),
        (put("teachers/crf", {"config": {}}), "teachers.crf lacks the key 'seeds'"),
        (
            put("teachers/crf", {"by_language": {"en": {}}, "seeds": [1]}),
            r"teachers.crf.by_language: the list of languages is \['en'\]: .* 'es': add one",
        ),
        (put("rows/1/teachers", "crf/1"), r"rows.1.teachers is 'crf/1': .*\['crf'\], or a row"),
        (taught_by("structural", [1]), "rows.1.teachers is 'structural': .*, or a row above, "),
        (taught_by(["crf", "baseline"], [3]), r"rows.1.seeds is \[3\]: .* with the same seed"),
        (cross_fitted_beside_another, "rows.1.teachers is 'folds': .* teach alone"),
        (taught_by("baseline", [3]), r"rows.1.seeds is \[3\]: .* 'baseline' with the same seed"),
        (copied(None), 'rows.1.initialize_from is None: .* "copied" has no "source": give it one'),
        (copied("crf"), r"rows.1.initialize_from is 'crf': .*\['baseline', 'crf/en', 'crf/es'\]"),
        (copied("crf/en", source="x"), "rows.1.initialize_from is 'crf/en': the model has no init"),
        (put("rows/1/initialize_from", "crf/en"), "rows.1.initialize_from .* has no initializer"),
        (contrast(rows=[]), r"contrasts.0.rows is \[\]: name one or more of the rows"),
        (contrast(against=["x"]), r"contrasts.0.against is \['x'\]: name one or more of"),
        (contrast(colour=1), "contrasts.0: the key is 'colour': there is no such key"),
        (contrast(rows="posterior"), "contrasts.0.rows is 'posterior': give a list"),
        (put("needs", {"no/such": "make it"}), "needs: no/such does not exist: make it"),
        (put("rows/1/baseline", "x"), r"rows.1.baseline is 'x': name another of the rows \['base"),
        (put("rows/1/baseline", "posterior"), "rows.1.baseline is 'posterior': name another"),
        (put("baseline", "base"), r"baseline is 'base': name one of the rows \['baseline'"),
    ],
)
def test_what_is_refused(values, change, message):
    change(values)
    with pytest.raises(ConfigurationError) as error:
        Suite.from_dict(values, "some.jsonnet")
    assert str(error.value).startswith("some.jsonnet: ")
    assert re.search(message, str(error.value))


def test_contrasts_need_a_seed_in_common(values):
    contrast()(values)
    Suite.from_dict(values)
    values["rows"][0]["seeds"] = [3]
    with pytest.raises(ConfigurationError, match=r"contrasts.0 is 'gain': .* no seed in common"):
        Suite.from_dict(values)


@pytest.mark.parametrize("name", ["crf/en", "baseline"])
def test_what_a_student_starts_from(values, name):
    copied(name)(values)
    assert Suite.from_dict(values).as_dict() == values
    values["rows"][1]["seeds"] = [2, 3]
    values["rows"][0]["seeds"] = [1, 2]
    if name == "crf/en":
        Suite.from_dict(values)
    else:
        with pytest.raises(ConfigurationError, match=r"rows.1.seeds is \[2, 3\]: "):
            Suite.from_dict(values)


def test_who_can_teach(values):
    values["needs"] = {"fixtures/conll": "git checkout"}
    taught_by("baseline", [2])(values)
    assert Suite.from_dict(values).as_dict() == values
    # Of fewer seeds, they take turns.
    for seeds in ([1, 2, 3], [1], [7, 8]):
        multilingual(seeds)(values)
        assert Suite.from_dict(values).as_dict() == values
    folds({})(values)
    assert Suite.from_dict(values).as_dict() == values
    # A suite without these keys has the digest that it had before there were any.
    plain = Suite.from_file(SUITE).as_dict()
    assert not {"contrasts", "needs"} & set(plain)
    assert not any({"initialize_from", "baseline"} & set(row) for row in plain["rows"])


@pytest.mark.parametrize(
    "path",
    [
        "fixtures/conll/{language}/train.txt#not-fold=1of2",
        {"en": "fixtures/conll/en/train.txt", "es": ["fixtures/conll/es/train.txt"]},
        [
            "fixtures/conll/{language}/train.txt",
            {"unlabelled": "fixtures/sentences/{language}/train.txt"},
        ],
        "xx=fixtures/conll/en/train.txt",
        '{"en": "fixtures/conll/en/train.txt"}',
    ],
)
def test_paths_in_any_form(values, path):
    put("rows/1/config/train_data_path", path)(values)
    Suite.from_dict(values)


def test_the_paths_of_other_readers_are_their_own(values):
    put("rows/1/config/dataset_reader", {"type": "conll2003"})(values)
    for path in ("https://anything", {"any": 1}):
        put("rows/1/config/train_data_path", path)(values)
        put("rows/1/config/validation_data_path", path)(values)
        Suite.from_dict(values)
