from structkd_allennlp.data.fields.tag_sequence_field import UNKNOWN_TAG, TagSequenceField

__all__ = ["UNKNOWN_TAG", "TagSequenceField"]
