import json
import logging
from collections import Counter
from copy import deepcopy
from typing import Any, Dict, List

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DataLoader, DatasetReader, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.dataset_readers.dataset_reader import WorkerInfo

from structkd_allennlp.data import ConllReader, MultilingualReader, WikiAnnReader
from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, UNLABELLED_TAG
from tests.data import FIXTURES, complaint

CONLL = str(FIXTURES / "conll" / "{language}" / "train.txt")


def make(**params: Any) -> MultilingualReader:
    reader = DatasetReader.from_params(Params(deepcopy({"type": "multilingual", **params})))
    assert isinstance(reader, MultilingualReader)
    return reader


def write(path, n: int, name: str = "w", wikiann: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{wikiann}:{{}}\tO\n\n" if wikiann else "{} O\n\n"
    path.write_text("".join(row.format(f"{name}{i}") for i in range(n)))
    return str(path)


def read(reader: MultilingualReader, path: Any) -> List[str]:
    """`language:word` of the first word of each instance."""
    return [
        f"{instance['metadata']['language']}:{instance['metadata']['words'][0]}"  # type: ignore[index]
        for instance in reader.read(path)
    ]


@pytest.fixture
def two(tmp_path) -> Dict[str, str]:
    return {"en": write(tmp_path / "en.txt", 2), "es": write(tmp_path / "es.txt", 4)}


TWO = ["en:w0", "es:w0", "en:w1", "es:w1", "es:w2", "es:w3"]


def test_all_forms_of_a_path_read_the_languages_in_turn(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    assert read(reader, two) == TWO
    assert read(reader, json.dumps(two)) == TWO
    assert read(reader, str(tmp_path / "{language}.txt")) == TWO
    assert read(reader, tmp_path / "{language}.txt") == TWO
    assert read(reader, f"pt={two['en']}") == ["pt:w0", "pt:w1"]
    assert read(reader, two["en"]) == ["en:w0", "en:w1"]
    assert read(reader, {"es": two["es"]}) == ["es:w0", "es:w1", "es:w2", "es:w3"]
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


def test_what_is_no_path():
    message = complaint(lambda: make(reader="structkd_conll").read({"en": 1}))
    assert message.startswith("1 is not a path")


def test_unlabelled_in_one_dictionary_with_languages(two):
    """Also as JSON, also a list of files, and whether or not the text has labels."""
    paths = {"en": [two["en"], two["en"]], "unlabelled": {"es": two["es"]}}
    for given in (paths, json.dumps(paths)):
        reader = make(
            reader="structkd_conll", languages=["en", "es"], unlabelled_reader="structkd_conll"
        )
        sentences = list(reader.sentences(given))
        assert [s.language for s in sentences].count("en") == 4
        assert all((s.tags is None) == (s.language == "es") for s in sentences)


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


def text(path, n: int, name: str = "u") -> str:
    """A file of this many unlabelled sentences of two words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}{i} {name}\n" for i in range(n)))
    return str(path)


@pytest.fixture
def raw(tmp_path) -> Dict[str, str]:
    return {"en": text(tmp_path / "raw/en.txt", 3), "es": text(tmp_path / "raw/es.txt", 1)}


def test_a_list_of_paths_in_any_form(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    pattern = str(tmp_path / "{language}.txt")
    # A sentence of each file in turn, whatever form its path has.
    assert read(reader, [two["en"], two["es"]]) == TWO
    assert read(reader, [pattern]) == TWO
    assert read(reader, [{"en": two["en"]}, [f"pt={two['es']}"]]) == [
        word.replace("es:", "pt:") for word in TWO
    ]
    assert read(reader, [tmp_path / "en.txt", json.dumps({"es": two["es"]})]) == TWO
    # Another file of a language that is there already.
    assert read(reader, [two, two["en"]]) == [
        *("en:w0", "es:w0", "en:w0", "en:w1", "es:w1", "en:w1", "es:w2", "es:w3")
    ]


def kinds(reader: MultilingualReader, path: Any) -> List[str]:
    """As `read`, with a star after the words that have no label."""
    return [
        f"{sentence.language}:{sentence.tokens[0].text}" + "*" * (sentence.tags is None)
        for sentence in reader.sentences(path)
    ]


RAW = ["en:u0*", "es:u0*", "en:u1*", "en:u2*"]


def test_all_forms_of_a_path_to_unlabelled_text(raw, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    for path in (
        raw,
        str(tmp_path / "raw/{language}.txt"),
        tmp_path / "raw/{language}.txt",
        json.dumps(raw),
        [raw["en"], raw["es"]],
        [{"en": raw["en"]}, f"es={raw['es']}"],
    ):
        assert kinds(reader, {"unlabelled": path}) == RAW
        assert kinds(reader, [{"unlabelled": path}]) == RAW
    assert kinds(reader, {"unlabelled": raw["en"]}) == ["en:u0*", "en:u1*", "en:u2*"]
    assert kinds(reader, {"unlabelled": f"pt={raw['es']}"}) == ["pt:u0*"]
    folds = {f"u{i}": fold_of([f"u{i}", "u"], 2) for i in range(3)}
    assert kinds(reader, {"unlabelled": f"{raw['en']}#fold=1of2"}) == [
        f"en:{word}*" for word, fold in folds.items() if fold == 1
    ]


def test_labelled_and_unlabelled_files_take_turns(two, raw):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    assert kinds(reader, [two, {"unlabelled": raw}]) == [
        *("en:w0", "es:w0", "en:u0*", "es:u0*"),
        *("en:w1", "es:w1", "en:u1*"),
        *("es:w2", "en:u2*", "es:w3"),
    ]
    # Of other languages, and none of any language with labels.
    assert kinds(reader, [two["es"], {"unlabelled": f"pt={raw['en']}"}]) == [
        *("es:w0", "pt:u0*", "es:w1", "pt:u1*", "es:w2", "pt:u2*", "es:w3")
    ]
    assert kinds(reader, [{"unlabelled": raw["en"]}, {"unlabelled": raw["es"]}]) == RAW


def test_unlabelled_sentences_are_instances_of_the_reader_of_their_language(two, raw):
    reader = make(
        readers={
            "en": {"type": "structkd_conll", "token_indexers": {"en": "single_id"}},
            "es": {
                "type": "structkd_conll",
                "token_indexers": {"es": "single_id"},
                "label_namespace": "other_tags",
            },
        }
    )
    instances = list(reader.read([two, {"unlabelled": raw}]))
    for instance in instances:
        language = instance["metadata"]["language"]
        assert list(instance["tokens"].token_indexers) == [language]
        expected = {"en": "labels", "es": "other_tags"}[language]
        assert instance["tags"]._label_namespace == expected
    unlabelled = [i for i in instances if set(i["tags"].labels) == {UNLABELLED}]
    assert [i["metadata"]["words"] for i in unlabelled] == [
        *(["u0", "u"], ["u0", "u"], ["u1", "u"], ["u2", "u"])
    ]
    assert all("tags" not in i["metadata"].metadata for i in unlabelled)


def test_how_unlabelled_text_is_read(tmp_path):
    path = tmp_path / "it.txt"
    path.write_text("L'amico, qui.\nDue\n")

    def words(**params):
        reader = make(reader="structkd_conll", **params)
        found = reader.sentences({"unlabelled": {"it": str(path)}})
        return [[token.text for token in sentence.tokens] for sentence in found]

    raw = {"type": "unlabelled_text", "tokenized": False}
    assert words() == [["L'amico,", "qui."], ["Due"]]
    assert words(unlabelled_reader=raw) == [["L'", "amico", ",", "qui", "."], ["Due"]]
    assert words(unlabelled_reader={**raw, "tokenizer": "whitespace"}) == words()
    assert words(unlabelled_reader={**raw, "max_instances": 1}) == words(unlabelled_reader=raw)[:1]
    latin = path.with_suffix(".latin")
    latin.write_bytes("così\n".encode("iso-8859-1"))
    reader = make(
        reader="structkd_conll",
        unlabelled_reader={"type": "unlabelled_text", "encoding": "iso-8859-1"},
    )
    (sentence,) = reader.sentences({"unlabelled": f"it={latin}"})
    assert sentence.tokens[0].text == "così"


def test_limits_of_labelled_and_unlabelled_files(two, raw):
    path = [two, {"unlabelled": raw}]
    conll = {"type": "structkd_conll", "max_instances": 1}
    assert kinds(make(reader=conll), path) == ["en:w0", "es:w0", *RAW]
    reader = make(
        reader="structkd_conll", unlabelled_reader={"type": "unlabelled_text", "max_instances": 2}
    )
    assert [w for w in kinds(reader, path) if w.endswith("*")] == RAW[:3]
    assert read(make(reader="structkd_conll", max_instances=5), path) == [
        *("en:w0", "es:w0", "en:u0", "es:u0", "en:w1")
    ]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_workers_share_labelled_and_unlabelled_sentences(two, raw, n):
    path = [two, {"unlabelled": raw}]
    whole = read(make(reader="structkd_conll"), path)
    assert len(whole) == 10
    seen = []
    for worker in range(n):
        reader = make(reader="structkd_conll")
        reader._set_worker_info(WorkerInfo(n, worker))
        seen += read(reader, path)
    assert sorted(seen) == sorted(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_from_jsonnet_mixes_both_kinds_in_batches(tmp_path, workers):
    text(tmp_path / "en.txt", 10)
    text(tmp_path / "es.txt", 10)
    path = tmp_path / "config.jsonnet"
    path.write_text(
        """{
            local folder = std.extVar("FOLDER"),
            dataset_reader: { type: "multilingual", languages: ["en", "es"], reader: conll },
            local conll = "structkd_conll",
            train_data_path: [std.extVar("CONLL"), { unlabelled: folder + "/{language}.txt" }],
            data_loader: { batch_size: 8, shuffle: false },
        }"""
    )
    overrides = {"data_loader.num_workers": workers} if workers else {}
    params = Params.from_file(path, overrides, {"FOLDER": str(tmp_path), "CONLL": CONLL})
    loader = DataLoader.from_params(
        params.pop("data_loader"),
        reader=DatasetReader.from_params(params.pop("dataset_reader")),
        # As `allennlp train` passes it on.
        data_path=params.pop("train_data_path"),
    )
    assert isinstance(loader, MultiProcessDataLoader)
    vocab = Vocabulary.from_instances(loader.iter_instances())
    assert UNLABELLED not in vocab.get_token_to_index_vocabulary("labels")
    loader.index_with(vocab)
    batches = list(loader)
    assert sum(len(batch["metadata"]) for batch in batches) == 90 + 20
    for i, batch in enumerate(batches):
        unlabelled = (batch["tags"][:, 0] == UNLABELLED_TAG).tolist()
        assert unlabelled == ["tags" not in metadata for metadata in batch["metadata"]]
        assert unlabelled == [m["words"][-1] == "u" for m in batch["metadata"]]
        for row, metadata in zip(batch["tags"].tolist(), batch["metadata"], strict=True):
            n = len(metadata["words"])
            assert all((tag == UNLABELLED_TAG) == ("tags" not in metadata) for tag in row[:n])
            assert set(row[n:]) <= {0}
        if not workers and i < 5:
            # A sentence of each of the four files in turn.
            assert unlabelled == [False, False, True, True] * 2


def test_no_unlabelled_text_of_a_language_without_a_reader(two, raw):
    reader = make(readers={"en": {"type": "structkd_conll"}})
    for path in (raw, f"es={raw['es']}", raw["es"]):
        message = complaint(lambda path=path: reader.read([two["en"], {"unlabelled": path}]))
        assert f"{raw['es']}: no dataset reader for the language 'es', only for en" in message


def test_bad_paths_to_unlabelled_text(two, tmp_path):
    reader = make(reader="structkd_conll", languages=["en", "es"])
    path = [two, {"unlabelled": str(tmp_path / "not/{language}.txt")}]
    message = complaint(lambda: reader.read(path))
    assert message.startswith(f"{tmp_path / 'not/en.txt'}: no such file for the language 'en'")
    (tmp_path / "empty.txt").write_text("\n")
    message = complaint(lambda: reader.read({"unlabelled": f"en={tmp_path / 'empty.txt'}"}))
    assert message.startswith(f"{tmp_path / 'empty.txt'}: no sentences")
    message = complaint(
        lambda: make(reader="structkd_conll").read({"unlabelled": "{language}.txt"})
    )
    assert '"languages"' in message


def test_the_reader_of_unlabelled_text_must_be_one_of_ours():
    with pytest.raises(ConfigurationError, match='"unlabelled_reader" of a "multilingual"'):
        make(reader="structkd_conll", unlabelled_reader="sequence_tagging")
