"""From words to a model's input, whatever reader the model was trained with, and back."""

from typing import Any, List, MutableMapping, Optional, Sequence, Tuple

from allennlp.data import DatasetReader, Instance, Token
from allennlp.data.fields import MetadataField

from structkd_allennlp.data.dataset_readers import MultilingualReader, TaggingReader

Sentence = Tuple[Sequence[str], Optional[str]]
"""The words of a sentence and its language."""


def instance_of_words(
    reader: DatasetReader, tokens: List[Token], language: Optional[str]
) -> Instance:
    """
    An indexable instance without tags, from any tagging reader: ours, which are told the language,
    or one of allennlp-models, which know none.
    """
    if isinstance(reader, (TaggingReader, MultilingualReader)):
        instance = reader.text_to_instance(tokens, language=language)
    else:
        instance = reader.text_to_instance(tokens)
    reader.apply_token_indexers(instance)
    return instance


def metadata_of(instance: Instance) -> MutableMapping[str, Any]:
    """What the instance carries beside its tensors, such as `words` and `language`."""
    field = instance["metadata"]
    assert isinstance(field, MetadataField)
    metadata: MutableMapping[str, Any] = field.metadata
    return metadata


def sentence_of(instance: Instance) -> Sentence:
    metadata = metadata_of(instance)
    return metadata["words"], metadata.get("language")
