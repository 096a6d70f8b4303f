import json
import logging
from collections import Counter

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.dataset_readers.dataset_reader import WorkerInfo

from structkd_allennlp.data import ConllReader, MultilingualReader, WikiAnnReader
from structkd_allennlp.data.corpus_paths import fold_of
from tests.data import complaint
from tests.data.dataset_readers import CONLL, TWO, make, read, write


def test_all_forms_of_a_path_read_the_languages_in_turn(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    assert read(reader, two) == TWO
    assert read(reader, json.dumps(two)) == TWO
    assert read(reader, str(tmp_path / "{language}.txt")) == TWO
    assert read(reader, tmp_path / "{language}.txt") == TWO
    assert read(reader, f"pt={two['en']}") == ["pt:w0", "pt:w1"]
    assert read(reader, two["en"]) == ["en:w0", "en:w1"]
    assert read(reader, json.dumps({"es": two["es"]})) == ["es:w0", "es:w1", "es:w2", "es:w3"]
    own = [w for w in TWO if fold_of([w[3:]], 2) == 1]
    others = [f"pt:w{i}" for i in range(4) if fold_of([f"w{i}"], 2) != 1]
    assert sorted(read(reader, str(tmp_path / "{language}.txt#fold=1of2"))) == sorted(own)
    assert read(reader, f"pt={two['es']}#not-fold=1of2") == others


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("x/en.txt", "en"),
        ("x/zh-classical.txt", "zh-classical"),
        # A configured language goes before two letters.
        ("es/my_test.txt", "es"),
        ("simple/test", "simple"),
        ("xyz/test.txt", "und"),
    ],
)
def test_guessed_languages(tmp_path, caplog, name, language):
    path = write(tmp_path / name, 1)
    reader = make(
        reader="structkd_conll",
        readers={"simple": {"type": "structkd_conll"}},
        languages=["es", "zh-classical"],
    )
    with caplog.at_level(logging.WARNING):
        assert read(reader, path) == [f"{language}:w0"]
    warnings = [r.getMessage() for r in caplog.records if path in r.getMessage()]
    assert len(warnings) == (language == "und")
    if warnings:
        assert f"'en={path}'" in warnings[0]


def test_what_a_file_says_of_its_language_beats_a_guess(tmp_path):
    path = write(tmp_path / "en" / "train", 1, wikiann="de")
    reader = make(reader="wikiann")
    assert read(reader, path) == ["de:w0"]
    assert read(reader, f"de={path}") == ["de:w0"]
    for stated in (f"en={path}", {"en": path}):
        assert "'de', but the configuration says 'en'" in complaint(
            lambda stated=stated: reader.read(stated)
        )
    configured = make(reader={"type": "structkd_conll", "language": "it"})
    assert read(configured, write(tmp_path / "en.txt", 1)) == ["it:w0"]


def test_a_file_of_an_unknown_name_can_still_name_its_language(tmp_path):
    path = write(tmp_path / "somewhere" / "train", 1, wikiann="es")
    readers = {"en": {"type": "wikiann"}, "es": {"type": "wikiann"}}
    assert read(make(readers=readers), path) == ["es:w0"]
    other = write(tmp_path / "somewhere" / "test", 1, wikiann="fr")
    message = complaint(lambda: make(readers=readers).read(other))
    assert message.startswith(f"{other}: no dataset reader for the language 'fr'")


def test_each_language_may_have_its_format_and_indexers(tmp_path):
    two = {"en": write(tmp_path / "a", 1), "es": write(tmp_path / "b", 1, wikiann="es")}
    reader = make(
        readers={
            "en": {"type": "structkd_conll", "token_indexers": {"en": "single_id"}},
            "es": {"type": "wikiann", "token_indexers": {"es": "single_id"}},
        },
    )
    assert reader.languages == ["en", "es"]
    instances = list(reader.read(two))
    assert [list(i["tokens"].token_indexers) for i in instances] == [["en"], ["es"]]
    instance = reader.text_to_instance(["a"], language="es")
    assert instance["tokens"]._token_indexers is None
    reader.apply_token_indexers(instance)
    assert list(instance["tokens"].token_indexers) == ["es"]


def test_text_goes_to_the_reader_of_its_language():
    reader = make(readers={"en": {"type": "structkd_conll", "label_namespace": "a_tags"}})
    default = make(
        reader={"type": "structkd_conll", "label_namespace": "b_tags"},
        readers={"en": {"type": "structkd_conll", "label_namespace": "a_tags"}},
    )

    def namespace(reader, language):
        return reader.text_to_instance(["x"], ["O"], language)["tags"]._label_namespace

    assert [namespace(reader, language) for language in ("en", "pt", None)] == ["a_tags"] * 3
    assert [namespace(default, language) for language in ("en", "pt", None)] == [
        *("a_tags", "b_tags", "b_tags")
    ]
    assert [t.text for t in default.tokenize("l'amico", "it")] == ["l'", "amico"]
    assert [t.text for t in default.tokenize("l'amico")] == ["l'amico"]


def test_limits(two):
    reader = {"type": "structkd_conll", "max_instances": 1}
    assert read(make(reader=reader), two) == ["en:w0", "es:w0"]
    conll = {"type": "structkd_conll"}
    assert read(make(readers={"en": conll, "es": reader}), two) == ["en:w0", "es:w0", "en:w1"]
    assert read(make(reader="structkd_conll", max_instances=3), two) == TWO[:3]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("limit", [None, 3, 5])
def test_workers_share_the_sentences(two, n, limit):
    seen = []
    for worker in range(n):
        reader = make(reader={"type": "structkd_conll", "max_instances": 3}, max_instances=limit)
        reader._set_worker_info(WorkerInfo(n, worker))
        seen += read(reader, two)
    assert len(seen) == len(set(seen)) == (limit or 5)
    assert set(seen) <= set(TWO)


def test_data_loader_with_workers_gives_each_sentence_once_an_epoch():
    reader = make(reader="structkd_conll", languages=["en", "es"])
    loader = MultiProcessDataLoader(
        reader, CONLL, batch_size=4, num_workers=2, max_instances_in_memory=8
    )
    expected = Counter(
        (str(s.language), tuple(str(t.text) for t in s.tokens)) for s in reader.sentences(CONLL)
    )
    assert sum(expected.values()) == 90
    loader.index_with(Vocabulary.from_instances(loader.iter_instances()))
    for _ in range(2):
        metadata = [m for batch in loader for m in batch["metadata"]]
        assert Counter((m["language"], tuple(m["words"])) for m in metadata) == expected


def test_streams(tmp_path):
    path = write(tmp_path / "en.txt", 50_000)
    with open(path, "a") as file:
        file.write("one-column\n")
    reader = make(reader="structkd_conll")
    stream = reader.sentences({"en": path, "es": path})
    assert [next(stream).language for _ in range(4)] == ["en", "es", "en", "es"]


def test_no_language_lacks_a_reader(two, tmp_path):
    reader = make(readers={"en": {"type": "structkd_conll"}})
    for path in (two, f"es={two['es']}", two["es"]):
        message = complaint(lambda path=path: reader.read(path))
        assert f"{two['es']}: no dataset reader for the language 'es', only for en" in message or (
            f"es={two['es']}: no dataset reader for the language 'es', only for en" in message
        )
        assert 'Add it to "readers"' in message
    path = write(tmp_path / "xyz" / "test", 1)
    message = complaint(lambda: reader.read(path))
    assert "no dataset reader for the language 'und'" in message
    assert "'en=path'" in message


def test_missing_files_name_their_language(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "pt"])
    message = complaint(lambda: reader.read(str(tmp_path / "{language}.txt")))
    assert message.startswith(f"{tmp_path / 'pt.txt'}: no such file for the language 'pt'")


def test_only_the_configured_languages_of_a_dictionary_are_read(two):
    """The README's configuration of two languages, overridden to train a teacher of one."""
    english = make(reader="structkd_conll", languages=["en"])
    assert read(english, two) == ["en:w0", "en:w1"]
    assert read(english, [two, {"es": two["es"]}]) == ["en:w0", "en:w1"]
    assert read(english, [two, {"unlabelled": {"es": two["en"]}}]) == TWO[:4]
    # Those that are stated otherwise, as in evaluation, whatever the configuration says.
    assert read(english, json.dumps(two)) == TWO
    assert read(english, [two["en"], two["es"]]) == TWO
    # And where `languages` follow from `readers`, there is nothing to keep to.
    assert read(make(readers={"en": "structkd_conll"}), {"en": two["en"]}) == ["en:w0", "en:w1"]


@pytest.mark.parametrize("language", ["fr", "EN"])
def test_a_language_without_a_path(two, language):
    message = complaint(lambda: make(reader="structkd_conll", languages=[language]).read(two))
    assert f"no path for '{language}' of the \"languages\"" in message
    both = make(reader="structkd_conll", languages=["en", language])
    assert f"no path for '{language}' of" in complaint(lambda: both.read([{"en": two["en"]}]))


def test_what_is_no_path():
    message = complaint(lambda: make(reader="structkd_conll").read({"en": 1}))
    assert message.startswith("1 is not a path")


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({}, 'needs a "reader"'),
        ({"readers": {}}, 'needs a "reader"'),
        ({"reader": "sequence_tagging"}, '"reader" of a "multilingual" dataset reader is a Seq'),
        ({"readers": {"en": "multilingual"}}, 'needs a "reader"'),
        ({"readers": {"en": "conll2003"}}, '"readers.en" of a "multilingual"'),
        ({"readers": {"en": "wikiann"}, "languages": ["en", "pt"]}, "language 'pt'"),
    ],
)
def test_bad_parameters(params, problem):
    with pytest.raises(ConfigurationError, match=problem):
        make(**params)


def test_a_pattern_needs_languages():
    message = complaint(lambda: make(reader="structkd_conll").read(CONLL))
    assert '"languages"' in message


def test_from_jsonnet(tmp_path):
    path = tmp_path / "reader.jsonnet"
    path.write_text(
        """local conll = {type: "structkd_conll", tag_column: 1};
        {
            type: "multilingual",
            reader: {type: "wikiann", label_encoding: "BIOUL"},
            readers: {gl: conll, nn: conll {encoding: "iso-8859-1"}},
        }"""
    )
    reader = DatasetReader.from_params(Params.from_file(path), serialization_dir="somewhere")
    assert isinstance(reader, MultilingualReader)
    assert reader.serialization_dir == "somewhere"
    assert isinstance(reader.reader, WikiAnnReader)
    assert reader.reader.label_encoding == "BIOUL"
    assert isinstance(reader.readers["gl"], ConllReader)
    assert reader.readers["nn"].encoding == "iso-8859-1"


def test_a_list_of_paths_in_any_form(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    pattern = str(tmp_path / "{language}.txt")
    # A sentence of each file in turn, whatever form its path has.
    assert read(reader, [two["en"], two["es"]]) == TWO
    assert read(reader, [pattern]) == TWO
    assert read(reader, [f"en={two['en']}", [f"pt={two['es']}"]]) == [
        word.replace("es:", "pt:") for word in TWO
    ]
    assert read(reader, [tmp_path / "en.txt", json.dumps({"es": two["es"]})]) == TWO
    # Another file of a language that is there already.
    assert read(reader, [two, two["en"]]) == [
        *("en:w0", "es:w0", "en:w0", "en:w1", "es:w1", "en:w1", "es:w2", "es:w3")
    ]
