from structkd_allennlp.data.fields.tag_sequence_field import UNKNOWN_TAG, TagSequenceField
from structkd_allennlp.data.fields.words_field import WordsField

__all__ = ["UNKNOWN_TAG", "TagSequenceField", "WordsField"]
