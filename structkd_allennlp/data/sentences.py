"""Sentences, whatever corpus they come from, and their way into a model's input and back."""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any, Callable, List, Mapping, MutableMapping, NamedTuple, Optional, Sequence

from allennlp.data import DatasetReader, Instance, Token
from allennlp.data.fields import MetadataField


class Sentence(NamedTuple):
    """The words of a sentence and its language, which may be unknown."""

    words: Sequence[str]
    language: Optional[str]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "Sentence":
        """From what readers put into an instance's `metadata`, not all of them a language."""
        return cls(metadata["words"], metadata.get("language"))


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence of a corpus. `tags`, one a token, are `None` where nobody has labelled it."""

    tokens: List[Token]
    tags: Optional[List[str]]
    language: Optional[str]

    @property
    def words(self) -> List[str]:
        return [token.text or "" for token in self.tokens]


def instance_of_words(
    reader: DatasetReader, tokens: List[Token], language: Optional[str]
) -> Instance:
    """
    An instance without tags, ready to be indexed, from any tagging reader. The reader is told the
    language if its `text_to_instance` takes one, as ours do and those of allennlp-models do not.
    """
    keywords = {"language": language} if _takes_language(type(reader).text_to_instance) else {}
    instance = reader.text_to_instance(tokens, **keywords)
    reader.apply_token_indexers(instance)
    return instance


@cache
def _takes_language(text_to_instance: Callable[..., Instance]) -> bool:
    return "language" in inspect.signature(text_to_instance).parameters


def metadata_of(instance: Instance) -> MutableMapping[str, Any]:
    """What the instance carries beside its tensors, such as `words` and `language`."""
    field = instance["metadata"]
    assert isinstance(field, MetadataField)
    metadata: MutableMapping[str, Any] = field.metadata
    return metadata


def sentence_of(instance: Instance) -> Sentence:
    return Sentence.from_metadata(metadata_of(instance))
