import pickle
from collections import defaultdict

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Instance, Token, Vocabulary
from allennlp.data.fields import ListField, TextField

from structkd_allennlp.data import UNKNOWN_TAG, TagSequenceField
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, UNLABELLED_TAG


def field(*tags: str, namespace: str = "labels") -> TagSequenceField:
    return TagSequenceField(list(tags), TextField([Token("x") for _ in tags], {}), namespace)


@pytest.fixture
def vocab() -> Vocabulary:
    return Vocabulary.from_instances([Instance({"tags": field("O", "O", "B-PER")})])


def test_unknown_labels_are_indexed_apart(vocab):
    tags = field("B-PER", "B-NEW", "O")
    tags.index(vocab)
    assert tags.as_tensor({"num_tokens": 3}).tolist() == [1, UNKNOWN_TAG, 0]


def test_unknown_labels_of_a_padded_namespace_do_not_become_oov():
    vocab = Vocabulary.from_instances([Instance({"x": field("A", namespace="words")})])
    tags = field("A", "Z", namespace="words")
    tags.index(vocab)
    assert tags.as_tensor({"num_tokens": 2}).tolist() == [2, UNKNOWN_TAG]


def test_a_vocabulary_without_the_namespace_knows_no_label():
    tags = field("O")
    tags.index(Vocabulary())
    assert tags.as_tensor({"num_tokens": 1}).tolist() == [UNKNOWN_TAG]


def test_batches_pad(vocab):
    batch = Batch([Instance({"tags": field("O")}), Instance({"tags": field("B-PER", "?", "O")})])
    batch.index_instances(vocab)
    assert batch.as_tensor_dict()["tags"].tolist() == [[0, 0, 0], [1, UNKNOWN_TAG, 0]]


def test_empty_field_is_one_of_its_own_and_pads_in_a_list(vocab):
    assert type(field("O").empty_field()) is TagSequenceField
    nested = ListField([field("O"), field("B-PER", "O").empty_field()])
    nested.index(vocab)
    tensor = nested.as_tensor({"num_fields": 2, "list_num_tokens": 1, "num_tokens": 1})
    assert tensor.tolist() == [[0], [0]]


def test_length_must_match_and_pickling_works(vocab):
    with pytest.raises(ConfigurationError):
        TagSequenceField(["O"], TextField([], {}))
    tags = pickle.loads(pickle.dumps(field("O", "?")))
    tags.index(vocab)
    assert tags.as_tensor({"num_tokens": 2}).tolist() == [0, UNKNOWN_TAG]


def test_unlabelled_sentences_count_no_label():
    counter = defaultdict(lambda: defaultdict(int))
    field(UNLABELLED, UNLABELLED).count_vocab_items(counter)
    assert not counter
    field("O", "B-PER").count_vocab_items(counter)
    assert counter == {"labels": {"O": 1, "B-PER": 1}}


def test_unlabelled_and_labelled_sentences_share_a_batch(vocab):
    batch = Batch(
        [
            Instance({"tags": field(UNLABELLED, UNLABELLED)}),
            Instance({"tags": field("B-PER", "?", "O")}),
            Instance({"tags": field(UNLABELLED)}),
        ]
    )
    assert Vocabulary.from_instances(batch.instances).get_vocab_size("labels") == 3
    batch.index_instances(vocab)
    assert batch.as_tensor_dict()["tags"].tolist() == [
        [UNLABELLED_TAG, UNLABELLED_TAG, 0],
        [1, UNKNOWN_TAG, 0],
        [UNLABELLED_TAG, 0, 0],
    ]


@pytest.mark.parametrize("namespace", ["labels", "words"])
def test_no_vocabulary_knows_the_mark_of_the_unlabelled(namespace):
    """Not even one that has an index for whatever it does not know."""
    vocab = Vocabulary.from_instances([Instance({"x": field("A", namespace=namespace)})])
    tags = pickle.loads(pickle.dumps(field(UNLABELLED, namespace=namespace)))
    tags.index(vocab)
    assert tags.as_tensor({"num_tokens": 1}).tolist() == [UNLABELLED_TAG]
    assert UNLABELLED_TAG < 0
    assert UNLABELLED_TAG != UNKNOWN_TAG
