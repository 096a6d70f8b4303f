import copy
import pickle

import pytest
import torch
from allennlp.data import Batch, Instance, Token, Vocabulary
from allennlp.data.fields import ListField, TextField
from allennlp.data.token_indexers import (
    ELMoTokenCharactersIndexer,
    PretrainedTransformerMismatchedIndexer,
    SingleIdTokenIndexer,
    TokenCharactersIndexer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.data.fields import WordsField

VOCABULARY = Vocabulary(
    tokens_to_add={"tokens": ["a", "bc", "d"], "token_characters": ["a", "b", "é"]}
)
INDEXERS = {
    "tokens": SingleIdTokenIndexer(token_min_padding_length=2),
    "words": SingleIdTokenIndexer(lowercase_tokens=True, start_tokens=["<s>"]),
    "token_characters": TokenCharactersIndexer(min_padding_length=3),
    "few": TokenCharactersIndexer(
        namespace="token_characters", min_padding_length=1, token_min_padding_length=4
    ),
    # Is padded by its own code.
    "elmo": ELMoTokenCharactersIndexer(),
}


def tensors(kind, sentences, indexers, lengths=None):
    instances = []
    for sentence in sentences:
        instances.append(Instance({"tokens": kind([Token(word) for word in sentence], indexers)}))
        instances[-1].index_fields(VOCABULARY)
    return Batch(instances).as_tensor_dict(lengths)["tokens"]


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, by_key in expected.items():
        assert list(found[name]) == list(by_key)
        for key, tensor in by_key.items():
            assert found[name][key].dtype == tensor.dtype
            assert torch.equal(found[name][key], tensor)


words = st.text("abcdé", max_size=6)
sentences = st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=4)


@given(sentences)
@settings(deadline=None, max_examples=60)
def test_tensors_are_those_of_a_text_field(sentences):
    arguments = sentences, INDEXERS
    assert_same(tensors(WordsField, *arguments), tensors(TextField, *arguments))


@pytest.mark.parametrize("length", [1, 2, 9])
def test_lengths_of_somebody_else(length):
    sentences = [["a", "bcd", "a"], ["abcd"]]
    indexers = {"tokens": SingleIdTokenIndexer(), "chars": INDEXERS["token_characters"]}
    given = {"tokens___tokens": length, "chars___token_characters": length}
    given["chars___num_token_characters"] = length
    arguments = sentences, indexers, {"tokens": given}
    assert_same(tensors(WordsField, *arguments), tensors(TextField, *arguments))


def test_a_transformer():
    indexers = {"t": PretrainedTransformerMismatchedIndexer("fixtures/tiny_mbert")}
    arguments = [["London", "is"], ["Unwahrscheinlichkeit", "a", "b"]], indexers
    assert_same(tensors(WordsField, *arguments), tensors(TextField, *arguments))


def test_one_sentence():
    field = WordsField([Token("a"), Token("bcd")], INDEXERS)
    field.index(VOCABULARY)
    expected = TextField(field.tokens, INDEXERS)
    expected.index(VOCABULARY)
    lengths = field.get_padding_lengths()
    assert_same(dict(field.as_tensor(lengths)), expected.as_tensor(lengths))
    for copied in (field.duplicate(), copy.deepcopy(field), pickle.loads(pickle.dumps(field))):
        assert isinstance(copied, WordsField)
        assert copied.get_padding_lengths() == lengths
        assert_same(dict(copied.as_tensor(lengths)), expected.as_tensor(lengths))


def test_another_vocabulary():
    field = WordsField([Token("a")], {"tokens": SingleIdTokenIndexer()})
    for vocabulary in (VOCABULARY, Vocabulary()):
        field.index(vocabulary)
        tensors = field.batch_tensors([field.as_tensor(field.get_padding_lengths())])
        assert tensors["tokens"]["tokens"].item() == vocabulary.get_token_index("a")


def test_in_a_list():
    def batch(kind):
        lists = [
            ListField([kind([Token(w) for w in s], INDEXERS) for s in sentences])
            for sentences in ([["a"], ["bc", "a"]], [["abcde"]])
        ]
        instances = [Instance({"tokens": field}) for field in lists]
        for instance in instances:
            instance.index_fields(VOCABULARY)
        return Batch(instances).as_tensor_dict()["tokens"]

    assert_same(batch(WordsField), batch(TextField))
