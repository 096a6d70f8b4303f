"""Text without labels beside files with them, in several languages."""

import json
from typing import Any, Dict, List

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DataLoader, DatasetReader, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.dataset_readers.dataset_reader import WorkerInfo

from structkd_allennlp.data import MultilingualReader
from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, UNLABELLED_TAG
from tests.data import complaint
from tests.data.dataset_readers import CONLL, make, read


def text(path, n: int, name: str = "u") -> str:
    """A file of this many unlabelled sentences of two words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}{i} {name}\n" for i in range(n)))
    return str(path)


@pytest.fixture
def raw(tmp_path) -> Dict[str, str]:
    return {"en": text(tmp_path / "raw/en.txt", 3), "es": text(tmp_path / "raw/es.txt", 1)}


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
