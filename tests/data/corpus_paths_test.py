"""What paths of corpora stand for, told without opening a file."""

import json
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from allennlp.common.checks import ConfigurationError
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.corpus_paths import (
    CorpusFile,
    Part,
    file_of,
    files_of,
    files_of_languages,
    fold_of,
    guess_language,
    split_parts,
    with_part,
)

LANGUAGES = ["en", "pt-br"]
EN, PT = CorpusFile("no/en.txt", "en"), CorpusFile("no/pt-br.txt", "pt-br")


def unlabelled(*files: CorpusFile) -> List[CorpusFile]:
    return [file._replace(unlabelled=True) for file in files]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("no/x.txt", [CorpusFile("no/x.txt")]),
        (Path("no/x.txt"), [CorpusFile("no/x.txt")]),
        ("en=no/en.txt", [EN]),
        ("zh_Hant-TW=no/x=y", [CorpusFile("no/x=y", "zh_Hant-TW")]),
        ("en=no/en.txt#fold=1of2", [CorpusFile("no/en.txt#fold=1of2", "en")]),
        # No language code, or no path.
        ("x=no/x.txt", [CorpusFile("x=no/x.txt")]),
        ("no/x=y", [CorpusFile("no/x=y")]),
        ("en=", [CorpusFile("en=")]),
        ("no/{language}.txt", [EN, PT]),
        (Path("no/{language}.txt"), [EN, PT]),
        ("{language}", [CorpusFile("en", "en"), CorpusFile("pt-br", "pt-br")]),
        ("{language}/{language}", [CorpusFile("en/en", "en"), CorpusFile("pt-br/pt-br", "pt-br")]),
        ({"pt-br": "no/pt-br.txt", "en": Path("no/en.txt")}, [PT, EN]),
        ({"en": ["no/en.txt", "x"], "fr": []}, [EN, CorpusFile("x", "en")]),
        # The path of a language is that of a file.
        ({"en": "fr={language}"}, [CorpusFile("fr={language}", "en")]),
        ('{"en": "no/en.txt"}', [EN]),
        (' {"en": "no/en.txt", "unlabelled": ["x"]}', [EN, *unlabelled(CorpusFile("x"))]),
        (["no/{language}.txt", ["x", ("en=no/en.txt",)]], [EN, PT, CorpusFile("x"), EN]),
        ([{"en": "no/en.txt"}, '{"pt-br": "no/pt-br.txt"}'], [EN, PT]),
        ({"unlabelled": "no/{language}.txt"}, unlabelled(EN, PT)),
        ({"unlabelled": '{"en": "no/en.txt"}'}, unlabelled(EN)),
        ({"unlabelled": {"unlabelled": "en=no/en.txt"}}, unlabelled(EN)),
        (["x", {"unlabelled": ["y"]}], [CorpusFile("x"), *unlabelled(CorpusFile("y"))]),
    ],
)
def test_files_of_a_path(paths, expected):
    assert files_of(paths, LANGUAGES) == expected


FR = CorpusFile("no/fr.txt", "fr")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"en": "no/en.txt", "fr": "no/fr.txt", "pt-br": "no/pt-br.txt"}, [EN, PT]),
        ([{"fr": "no/fr.txt"}, {"en": ["no/en.txt"], "pt-br": "no/pt-br.txt"}], [EN, PT]),
        (
            [{"fr": "no/fr.txt", "en": "no/en.txt"}, "no/pt-br.txt"],
            [EN, PT._replace(language=None)],
        ),
        ({"en": "no/en.txt", "unlabelled": {"pt-br": "x"}}, [EN, CorpusFile("x", "pt-br", True)]),
        ([{"en": "no/en.txt", "fr": "a"}, {"unlabelled": "x"}], [EN, CorpusFile("x", None, True)]),
        # Nothing says in which language this one is.
        (
            {"en": "no/en.txt", "fr": "no/fr.txt", "unlabelled": "x/x"},
            [EN, CorpusFile("x/x", None, True)],
        ),
        # What is no dictionary is not chosen from.
        ('{"fr": "no/fr.txt"}', [FR]),
        (["fr=no/fr.txt", "no/en.txt"], [FR, CorpusFile("no/en.txt")]),
        ({"unlabelled": {"fr": "no/fr.txt"}}, unlabelled(FR)),
        ("no/{language}.txt", [EN, PT]),
    ],
)
def test_files_of_some_languages(paths, expected, tmp_path, monkeypatch):
    # Not in a checkout whose name is that of a language.
    monkeypatch.chdir(tmp_path)
    assert files_of_languages(paths, LANGUAGES) == expected


@pytest.mark.parametrize(
    ("paths", "lacking"),
    [
        ({"en": "no/en.txt", "fr": "no/fr.txt"}, "'pt-br'"),
        ({"fr": "no/fr.txt"}, "'en', 'pt-br'"),
        ([{"fr": "no/fr.txt"}, "no/en.txt"], "'pt-br'"),
        ({"en": "no/en.txt", "unlabelled": {"fr": "no/fr.txt"}}, "'pt-br'"),
    ],
)
def test_languages_without_a_path(paths, lacking):
    with pytest.raises(ConfigurationError, match=f'no path for {lacking} of the "languages"'):
        files_of_languages(paths, LANGUAGES)


def test_a_language_that_is_named_twice_is_read_once():
    assert files_of("no/{language}.txt", ["en", "en"]) == [EN]


NAMES = st.text("aé .-:=", min_size=1, max_size=4).map("no/{}".format)
CODES = st.sampled_from(["en", "ast", "pt-br", "zh_Hant-TW"])
Case = Tuple[Any, List[CorpusFile]]


def _joined(cases: List[Case]) -> Case:
    return [paths for paths, _ in cases], [file for _, files in cases for file in files]


def _unlabelled(case: Case) -> Case:
    paths, files = case
    return {"unlabelled": paths}, unlabelled(*files)


def _dictionary(own: dict) -> Case:
    return own, [CorpusFile(path, x) for x, paths in own.items() for path in paths]


ONE_FILE: Any = st.one_of(
    NAMES.map(lambda name: (name, [CorpusFile(name)])),
    st.builds(lambda name, x: (f"{x}={name}", [CorpusFile(name, x)]), NAMES, CODES),
    NAMES.map(lambda name: (name + "{language}", [CorpusFile(name + x, x) for x in LANGUAGES])),
)
OBJECT: Any = st.dictionaries(CODES, st.lists(NAMES, min_size=1), min_size=1).map(_dictionary)
# A path in any form, with the files that it was made from.
CASES = st.recursive(
    ONE_FILE | OBJECT | OBJECT.map(lambda case: (json.dumps(case[0]), case[1])),
    lambda inner: st.lists(inner, min_size=1, max_size=4).map(_joined) | inner.map(_unlabelled),
    max_leaves=8,
)


@given(CASES)
def test_paths_of_any_form_stand_for_what_they_were_made_from(case):
    paths, expected = case
    assert files_of(paths, LANGUAGES) == expected


FOLDS = st.integers(2, 50).flatmap(
    lambda n: st.builds(Part, st.integers(1, n), st.just(n), st.booleans())
)


@given(CASES, FOLDS)
def test_a_part_of_a_path_is_that_of_each_of_its_files(case, part):
    paths, files = case
    expected = [file._replace(path=f"{file.path}{part}") for file in files]
    assert files_of(with_part(paths, part), LANGUAGES) == expected


def test_a_path_keeps_its_form_when_a_part_is_taken():
    part = Part(1, 3, others=True)
    assert with_part("a/{language}.txt", part) == "a/{language}.txt#not-fold=1of3"
    assert with_part(Path("a"), part) == "a#not-fold=1of3"
    assert with_part({"en": ["a", "b#fold=2of4"], "unlabelled": "c"}, part) == {
        "en": ["a#not-fold=1of3", "b#fold=2of4#not-fold=1of3"],
        "unlabelled": "c#not-fold=1of3",
    }


@given(NAMES, st.lists(FOLDS, max_size=3))
def test_parts_are_split_from_the_file(name, parts):
    path = name + "".join(map(str, parts))
    assert split_parts(path) == (name, parts)
    assert file_of(path) == Path(name)


def test_folds_are_the_same_in_all_versions():
    """Or a model would be tested on what an older one was trained on."""
    for words, folds in (
        (["Ada", "met", "Bob"], [2, 1, 8]),
        (["New", "York"], [2, 2, 2]),
        (["é😀"], [1, 3, 5]),
        # Half of a character, as JSON can hold it.
        (["\ud800"], [1, 3, 5]),
    ):
        assert [fold_of(words, n) for n in (2, 3, 10)] == folds


@given(st.lists(st.text(), max_size=4), st.integers(2, 20))
def test_a_sentence_is_in_one_fold(words, n):
    own = [i for i in range(1, n + 1) if Part(i, n).selects(words)]
    assert own == [fold_of(words, n)]
    for i in range(1, n + 1):
        assert Part(i, n, others=True).selects(words) == (i not in own)


def test_a_file_that_exists_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x", "x#fold=1of2", "x#y", "en=x"):
        Path(name).write_text("")
    assert split_parts("x#fold=1of2") == ("x#fold=1of2", [])
    assert split_parts("x#fold=1of2#not-fold=2of3") == ("x#fold=1of2", [Part(2, 3, others=True)])
    assert split_parts("x#y#fold=1of2") == ("x#y", [Part(1, 2)])
    assert files_of("en=x") == [CorpusFile("en=x")]
    assert files_of("fr=x") == [CorpusFile("x", "fr")]


@pytest.mark.parametrize("path", ["no#", "no#x", "no##", "no#x#y"])
def test_a_number_sign_in_the_name_of_a_file_that_is_missing(path):
    """There is no file that it could name a part of, so whoever opens the file complains."""
    assert split_parts(path) == (path, [])


MALFORMED = [
    "fold=1of" + "9" * 5_000,
    "fold=1of1",
    "fold=0of3",
    "fold=4of3",
    "fold=-1of2",
    "fold=",
    "fold=2",
    "x",
    "",
]


@pytest.mark.parametrize("suffix", [*MALFORMED, "fold=1of2 ", "fold=१of२", "Fold=1of2"])
@pytest.mark.parametrize("other", ["", "#fold=1of2"])
def test_malformed_parts(tmp_path, suffix, other):
    (tmp_path / "x").write_text("")
    path = f"{tmp_path / 'x'}#{suffix}{other}"
    with pytest.raises(ConfigurationError) as error:
        split_parts(path)
    message = str(error.value)
    assert message.startswith(f"{path}: {quoted('#' + suffix)} is not a part of a file. End")


def test_the_last_of_several_parts_is_malformed(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigurationError, match="'#x' is not a part"):
        split_parts(f"{tmp_path / 'x'}#fold=1of2#x")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (1, "1 is not a path"),
        (None, "None is not a path"),
        ({"en": None}, "None is not a path"),
        ('{"en": 1}', "1 is not a path"),
        ({"en": ["a", {"unlabelled": "b"}]}, "{'unlabelled': 'b'} is not a path"),
        ([], r"\[\] names no file"),
        (["a", []], r"\[\] names no file"),
        ({}, "{} names no file"),
        ({"en": []}, r"{'en': \[\]} names no file"),
        ({"unlabelled": {}}, "{} names no file"),
        ('{"en": ', """'{"en": ': not a valid JSON dictionary from language to path"""),
        ("{en: x}", "'{en: x}': not a valid JSON dictionary from language to path"),
        ("a/{language}", 'a/{language}: no languages to put for .* Set "languages"'),
    ],
)
def test_what_is_no_path(paths, message):
    with pytest.raises(ConfigurationError, match=message):
        files_of(paths)


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("x/en_ewt-ud-test.conllu", "en"),
        ("x/en.txt#fold=1of2", "en"),
        ("x/en.a.txt", "en"),
        ("x/zh-classical.txt", "zh-classical"),
        ("x/es-train", "es"),
        ("gl/test.conllu", "gl"),
        ("simple/test", "simple"),
        # A known language goes before two letters, which go before nothing.
        ("es/my_test.txt", "es"),
        ("fr/my_test.txt", "my"),
        ("xyz/test.txt", None),
        ("EN/test.txt", None),
    ],
)
def test_languages_that_names_suggest(path, language):
    assert guess_language(f"/no/{path}", {"es", "zh-classical", "simple"}) == language
