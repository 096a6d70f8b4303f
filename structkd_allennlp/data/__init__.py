from structkd_allennlp.data.dataset_readers import (
    ConllReader,
    MultilingualReader,
    SemEvalAspectReader,
    TaggingReader,
    UniversalDependenciesPosReader,
    WikiAnnReader,
)
from structkd_allennlp.data.fields import UNKNOWN_TAG, TagSequenceField
from structkd_allennlp.data.sentences import Sentence, TaggedSentence
from structkd_allennlp.data.tokenizers import BlankSpacyTokenizer, blank_spacy_tokenizer

__all__ = [
    "UNKNOWN_TAG",
    "BlankSpacyTokenizer",
    "ConllReader",
    "MultilingualReader",
    "SemEvalAspectReader",
    "Sentence",
    "TagSequenceField",
    "TaggedSentence",
    "TaggingReader",
    "UniversalDependenciesPosReader",
    "WikiAnnReader",
    "blank_spacy_tokenizer",
]
