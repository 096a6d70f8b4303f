"""Words go into any reader and come back, with their language where the reader knows of one."""

from copy import deepcopy

import pytest
from allennlp.common import Params
from allennlp.data import DatasetReader, Token, Vocabulary
from allennlp_models.tagging import Conll2003DatasetReader  # noqa: F401

from structkd_allennlp.data import ConllReader, Sentence, TaggedSentence
from structkd_allennlp.data.sentences import instance_of_words, metadata_of, sentence_of

WORDS = ["Ada", "met"]
CONLL = {"type": "structkd_conll", "token_indexers": {"own": "single_id"}}


def test_a_sentence_is_its_words_and_its_language():
    words, language = sentence = Sentence(WORDS, "en")
    assert (words, language) == (sentence.words, sentence.language) == (WORDS, "en")
    assert hash(Sentence(tuple(WORDS), None)) == hash(Sentence(tuple(WORDS), None))


def test_the_words_of_a_tagged_sentence():
    assert TaggedSentence([Token("Ada"), Token(None)], None, "en").words == ["Ada", ""]


@pytest.mark.parametrize(
    ("params", "language"),
    [
        (CONLL, "pt"),
        ({"type": "multilingual", "readers": {"pt": CONLL, "en": "structkd_conll"}}, "pt"),
        # These know of no language.
        ({"type": "sequence_tagging", "token_indexers": {"own": "single_id"}}, None),
        ({"type": "conll2003", "token_indexers": {"own": "single_id"}}, None),
    ],
)
def test_words_become_an_instance_and_come_back(params, language):
    reader = DatasetReader.from_params(Params(deepcopy(params)))
    instance = instance_of_words(reader, [Token(word) for word in WORDS], "pt")
    assert sentence_of(instance) == Sentence(WORDS, language)
    assert "tags" not in instance.fields
    # The indexers of the reader of this language have been applied.
    instance.index_fields(Vocabulary())
    assert set(instance.as_tensor_dict()["tokens"]) == {"own"}


class WithLanguage(DatasetReader):
    """A reader of somebody else's that takes a language."""

    def text_to_instance(self, tokens, language="und"):
        return ConllReader().text_to_instance(tokens, language=language.upper())

    def apply_token_indexers(self, instance):
        pass


def test_any_reader_that_takes_a_language_is_told_it():
    instance = instance_of_words(WithLanguage(), [Token("Ada")], "pt")
    assert sentence_of(instance) == Sentence(["Ada"], "PT")


def test_metadata_can_be_added_to():
    instance = ConllReader().text_to_instance(WORDS)
    metadata_of(instance)["text"] = "Ada met"
    assert metadata_of(instance)["text"] == "Ada met"
    assert sentence_of(instance) == Sentence(WORDS, None)
