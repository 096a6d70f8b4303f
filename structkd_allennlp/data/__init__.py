from structkd_allennlp.data.dataset_readers import (
    ConllReader,
    MultilingualReader,
    SemEvalAspectReader,
    TaggedSentence,
    TaggingReader,
    UniversalDependenciesPosReader,
    WikiAnnReader,
)
from structkd_allennlp.data.fields import UNKNOWN_TAG, TagSequenceField
from structkd_allennlp.data.tokenizers import BlankSpacyTokenizer, blank_spacy_tokenizer

__all__ = [
    "UNKNOWN_TAG",
    "BlankSpacyTokenizer",
    "ConllReader",
    "MultilingualReader",
    "SemEvalAspectReader",
    "TagSequenceField",
    "TaggedSentence",
    "TaggingReader",
    "UniversalDependenciesPosReader",
    "WikiAnnReader",
    "blank_spacy_tokenizer",
]
