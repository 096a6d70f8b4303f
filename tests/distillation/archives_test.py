"""Which teachers teach a sentence, however a configuration names them."""

import os
import re

import pytest
from allennlp.common import FromParams, Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.archives import Archives, CrossFitted, TeacherArchives
from structkd_allennlp.distillation.teacher import TeacherSource

EN, ES = (f"fixtures/teachers/{language}.tar.gz" for language in ("en", "es"))


@TeacherSource.register("elsewhere")
class Elsewhere(TeacherSource):
    """Another kind of teacher, with arguments of its own."""

    def __init__(self, place: str, options: dict) -> None:
        super().__init__(f"{place} ({options['n']})")

    def check(self, language=None):
        if self.name.startswith("nowhere"):
            raise ConfigurationError(f"nobody is there to teach {language}")


class Configured(FromParams):
    def __init__(self, teachers: TeacherArchives) -> None:
        self.archives = Archives(teachers)


def archives(config):
    """As a `structure_kd` takes them from its configuration."""
    return Configured.from_params(Params({"teachers": config})).archives


def names(config, language="en", words=("Ada",)):
    own = archives(config).teachers_of(Sentence(words, language))
    return [teacher.source.name for teacher in own]


ELSEWHERE = {"type": "elsewhere", "place": "here", "options": {"n": 3}}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("a.tar.gz", ["a.tar.gz"]),
        (ELSEWHERE, ["here (3)"]),
        ({"en": "a", "de": "b"}, ["a"]),
        ({"en": ["a", "b"], "de": "c"}, ["a", "b"]),
        ({"en": ELSEWHERE}, ["here (3)"]),
        ({"en": {"type": "archive", "archive": "a"}}, ["a"]),
        ({"en": {"archive": "a"}}, ["a"]),
        ({"en": ["a", ELSEWHERE, "b"]}, ["a", "here (3)", "b"]),
        (["a", ELSEWHERE, "b"], ["a", "here (3)", "b"]),
    ],
)
def test_ways_to_name_teachers(config, expected):
    assert names(config) == expected


@pytest.mark.parametrize("second", ["b", ELSEWHERE])
def test_cross_fitted_teachers(second):
    """Each sentence is taught by the one that has not seen its fold."""
    config = {"en": {"folds": ["a", second, "c"]}, "de": "d"}
    seen = set()
    for i in range(30):
        words = [f"word{i}", "York"]
        (name,) = names(config, words=words)
        assert name == ["a", "b" if second == "b" else "here (3)", "c"][fold_of(words, 3) - 1]
        seen.add(name)
        # The same for all languages.
        assert names(config["en"], "xx", words) == [name]
    assert len(seen) == 3
    assert names(config, "de") == ["d"]


def test_the_same_archive_is_one_teacher():
    config = archives({"en": "a", "de": ["b", "a"]})
    (en,), (_, de) = (config.teachers_of(Sentence(["x"], language)) for language in ("en", "de"))
    assert en is de


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no teachers: give"),
        ("", "no teachers: give"),
        ({"en": []}, "the list of teachers for en is empty"),
        ({"en": 5}, "5 is no teacher: give the path"),
        ({"en": [["a"]]}, r"\['a'\] is no teacher: give the path"),
        ([["a"]], r"\['a'\] is no teacher: give the path"),
        ({"folds": ["a"]}, r"2 archives or more, not \['a'\]"),
        ({"en": {"folds": ["a"]}}, r"2 archives or more, not \['a'\]"),
        ({"en": {"folds": ["a", "b"], "seed": 1}}, "Extra parameters.*seed"),
        ({"en": {"foldz": ["a", "b"]}}, 'key "archive" is required'),
        ({"en": {"type": "elsewhere", "place": "x"}}, 'key "options" is required'),
        ({"type": "elsewhere", "place": "x"}, 'key "options" is required'),
        ({"en": {"type": "no-such"}}, "no-such"),
    ],
)
def test_what_names_no_teachers(config, message):
    with pytest.raises(ConfigurationError, match=message):
        archives(config)


def test_a_configuration_is_left_as_it_is():
    config = {"en": {"folds": ["a", ELSEWHERE]}, "de": [ELSEWHERE, "b"]}
    before = repr(config)
    Archives(config)
    assert repr(config) == before


def test_a_language_without_a_teacher():
    message = re.escape("no teacher for language 'fr'") + r".*there are teachers for \['de', 'en'\]"
    for ask in (
        lambda x: x.teachers_of(Sentence(["Ada"], "fr")),
        lambda x: x.check(["en", "fr"]),
    ):
        with pytest.raises(ConfigurationError, match=message):
            ask(archives({"en": EN, "de": ES}))
    assert names("a", language=None) == ["a"]


def test_all_are_looked_for_before_any_is_loaded(no_models):
    no_models()
    with pytest.raises(ConfigurationError, match=r"language 'de' is missing: there is no no/such"):
        archives({"en": EN, "de": {"folds": [ES, "no/such.tar.gz"]}}).check(["en", "de"])
    nowhere = {"type": "elsewhere", "place": "nowhere", "options": {"n": 0}}
    with pytest.raises(ConfigurationError, match="nobody is there to teach de"):
        archives({"en": EN, "de": nowhere}).check(["en", "de"])


def test_teachers_of_languages():
    """Of those alone: others may be missing."""
    found = archives({"en": [EN, ES], "es": ES, "fr": "no/such.tar.gz"}).check(["es", "en"])
    assert [teacher.source.name for teacher in found] == [ES, EN]
    assert all("O" in teacher.head().labels for teacher in found)


def test_python_objects():
    elsewhere = Elsewhere("there", {"n": 1})
    for given in (elsewhere, {"en": elsewhere}, {"en": [elsewhere]}):
        (teacher,) = Archives(given).teachers_of(Sentence(["Ada"], "en"))
        assert teacher.source is elsewhere
    folds = Archives({"en": CrossFitted(["a", elsewhere])})
    assert len({folds.teachers_of(Sentence([str(i)], "en"))[0] for i in range(20)}) == 2


def test_nothing_is_opened_before_it_is_needed(tmp_path, monkeypatch):
    """An archive of a student loads where its teachers are gone."""
    monkeypatch.chdir(tmp_path)
    archives({"en": "gone.tar.gz", "de": {"folds": ["a", "b"]}})
    assert not os.listdir(tmp_path)
