"""Text without labels."""

from typing import Any, List

import pytest
from allennlp.common import Params
from allennlp.data import Batch, DatasetReader, Vocabulary

from structkd_allennlp import UnlabelledTextReader
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, UNLABELLED_TAG
from tests.data import CORPORA, complaint

NO_BREAK = "\u00a0"


def read(path, text: str, **params: Any) -> List[List[Any]]:
    """The words of each sentence of a file with this text."""
    # In bytes, for Python must not touch the line ends.
    path.write_bytes(text.encode("utf-8"))
    sentences = UnlabelledTextReader(**params).sentences(path)
    return [[token.text for token in sentence.tokens] for sentence in sentences]


def test_tokenized_lines(tmp_path):
    found = read(tmp_path / "x", "Ada met Bob .\nHe 's don't\nlast")
    assert found == [["Ada", "met", "Bob", "."], ["He", "'s", "don't"], ["last"]]


def test_raw_lines(tmp_path):
    line = "L'amico di Ada.\n"
    assert read(tmp_path / "x", line, tokenized=False, language="it") == [
        ["L'", "amico", "di", "Ada", "."]
    ]
    # Only Italian splits at an apostrophe, and it is the caller's language that counts.
    reader = UnlabelledTextReader(tokenized=False)
    (italian,) = reader.sentences(tmp_path / "x", "it")
    (unknown,) = reader.sentences(tmp_path / "x")
    assert [token.text for token in italian.tokens] == ["L'", "amico", "di", "Ada", "."]
    assert [token.text for token in unknown.tokens] == ["L'amico", "di", "Ada", "."]


def test_the_configured_tokenizer_splits_raw_lines(tmp_path):
    params = {"type": "unlabelled_text", "tokenized": False, "tokenizer": "whitespace"}
    reader = DatasetReader.from_params(Params(params))
    assert isinstance(reader, UnlabelledTextReader)
    (tmp_path / "x").write_text("L'amico di Ada.\n")
    (sentence,) = reader.sentences(tmp_path / "x")
    assert [token.text for token in sentence.tokens] == ["L'amico", "di", "Ada."]


@pytest.mark.parametrize("tokenized", [True, False])
def test_blank_lines_and_carriage_returns(tmp_path, tokenized):
    text = "\r\n \t \r\nAda met\r\n\r\n\n  Bob \t\r\n\n"
    assert read(tmp_path / "x", text, tokenized=tokenized) == [["Ada", "met"], ["Bob"]]


def test_only_spaces_separate_tokens(tmp_path):
    """Not the other characters that Python takes for spaces or line ends."""
    text = f"10{NO_BREAK}000 a\u2028b  c\u3000d\n"
    assert read(tmp_path / "x", text) == [[f"10{NO_BREAK}000", "a\u2028b", "c\u3000d"]]


@pytest.mark.parametrize("text", ["", "\n", " \r\n\t\n"])
def test_files_without_sentences(tmp_path, text):
    message = complaint(lambda: read(tmp_path / "x", text))
    assert message.startswith(f"{tmp_path / 'x'}: no sentences. ")


def test_a_missing_file(tmp_path):
    message = complaint(lambda: UnlabelledTextReader().sentences(tmp_path / "x", "en"))
    assert message.startswith(f"{tmp_path / 'x'}: no such file for the language 'en'")


def test_instances_say_that_they_are_unlabelled(tmp_path):
    (tmp_path / "x").write_text("Ada met Bob\nBob\n")
    instances = list(UnlabelledTextReader(language="en").read(tmp_path / "x"))
    assert [instance["tags"].labels for instance in instances] == [[UNLABELLED] * 3, [UNLABELLED]]
    assert instances[0]["metadata"].metadata == {"words": ["Ada", "met", "Bob"], "language": "en"}

    # Its words count, and no label does.
    vocab = Vocabulary.from_instances(instances)
    assert vocab.get_token_to_index_vocabulary("tokens").keys() >= {"Ada", "met", "Bob"}
    assert vocab.get_vocab_size("labels") == 0
    assert "labels" not in vocab.get_namespaces()

    batch = Batch(instances)
    batch.index_instances(vocab)
    # A sentence is told by its first tag, so it does not matter what the others are padded with.
    assert batch.as_tensor_dict()["tags"].tolist() == [
        [UNLABELLED_TAG] * 3,
        [UNLABELLED_TAG, 0, 0],
    ]


def test_labels_of_another_namespace(tmp_path):
    (tmp_path / "x").write_text("Ada\n")
    (instance,) = UnlabelledTextReader(label_namespace="pos_tags").read(tmp_path / "x")
    instance.index_fields(Vocabulary())
    assert instance["tags"]._label_namespace == "pos_tags"
    assert instance["tags"].as_tensor({"num_tokens": 1}).tolist() == [UNLABELLED_TAG]


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the public corpora are not here")
@pytest.mark.parametrize(
    ("path", "count"), [("ud/en.txt", 9544), ("ud/pt.txt", 4017), ("conll2002/es.txt", 2323)]
)
def test_real_text(path, count):
    sentences = list(UnlabelledTextReader().sentences(CORPORA / "unlabelled" / path))
    assert len(sentences) == count
    assert all(sentence.tokens and sentence.tags is None for sentence in sentences)
