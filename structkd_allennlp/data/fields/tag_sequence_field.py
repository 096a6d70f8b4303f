"""The gold labels of a sentence, some of which a model may never have seen."""

from typing import Dict, List

from allennlp.data.fields import SequenceLabelField
from allennlp.data.vocabulary import Vocabulary

UNKNOWN_TAG = -100
"""The index of a label that is not in the vocabulary."""

UNLABELLED = "@@UNLABELLED@@"
"""Stands for the label of each token of an unlabelled sentence."""

UNLABELLED_TAG = -101
"""The index of `UNLABELLED`, which is in no vocabulary."""


class TagSequenceField(SequenceLabelField):
    """
    A `SequenceLabelField` in which a label that is not in the vocabulary gets the index
    `UNKNOWN_TAG`, where its parent would raise. Zero-shot evaluation needs that: a corpus in a new
    language may use a label that no training corpus has. `UNLABELLED` gets `UNLABELLED_TAG`, so
    sentences with and without labels fit into one batch.

    # Parameters

    labels : `Union[List[str], List[int]]`
    sequence_field : `SequenceField`
    label_namespace : `str`, optional (default=`"labels"`)
    """

    __slots__: List[str] = []

    def count_vocab_items(self, counter: Dict[str, Dict[str, int]]) -> None:
        if UNLABELLED not in self.labels:
            super().count_vocab_items(counter)

    def index(self, vocab: Vocabulary) -> None:
        if not self._skip_indexing:
            known = vocab.get_token_to_index_vocabulary(self._label_namespace)
            self._indexed_labels = [
                UNLABELLED_TAG if label == UNLABELLED else known.get(str(label), UNKNOWN_TAG)
                for label in self.labels
            ]

    def empty_field(self) -> "TagSequenceField":
        return TagSequenceField([], self.sequence_field.empty_field(), self._label_namespace)
