from structkd_allennlp.data.dataset_readers.conll import ConllReader
from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.ngram_text import NGramTextReader
from structkd_allennlp.data.dataset_readers.pretraining_text import PretrainingTextReader
from structkd_allennlp.data.dataset_readers.semeval_aspect import SemEvalAspectReader
from structkd_allennlp.data.dataset_readers.tagging_reader import TaggingReader
from structkd_allennlp.data.dataset_readers.universal_dependencies import (
    UniversalDependenciesPosReader,
)
from structkd_allennlp.data.dataset_readers.unlabelled_text import UnlabelledTextReader
from structkd_allennlp.data.dataset_readers.wikiann import WikiAnnReader

__all__ = [
    "ConllReader",
    "MultilingualReader",
    "NGramTextReader",
    "PretrainingTextReader",
    "SemEvalAspectReader",
    "TaggingReader",
    "UniversalDependenciesPosReader",
    "UnlabelledTextReader",
    "WikiAnnReader",
]
