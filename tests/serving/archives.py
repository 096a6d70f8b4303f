"""Archives of random taggers of all kinds that can be exported."""

import torch
from allennlp.data import Vocabulary

from tests.random_archive import random_archive

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = ["Maria", "Fernández", "lives", "in", "Rotterdam", ".", "unbelievably", "日本", "a"]

TRANSFORMER = {"type": "folded_transformer", "model_name": "fixtures/tiny_mbert"}
MISMATCHED = {"type": "pretrained_transformer_mismatched", "model_name": "fixtures/tiny_mbert"}
WORD = {"type": "single_id"}, {"type": "embedding", "embedding_dim": 5}
CHARACTER_CNN = {
    "type": "cnn",
    "embedding_dim": 3,
    "num_filters": 4,
    "ngram_filter_sizes": [2, 4],
}
CHARACTERS = (
    {"type": "characters", "min_padding_length": 4},
    {
        "type": "character_encoding",
        "embedding": {"embedding_dim": 3, "vocab_namespace": "token_characters"},
        "encoder": CHARACTER_CNN,
    },
)
LSTM = {"type": "lstm", "hidden_size": 6, "bidirectional": True}


def archived(path, parts, encoder=LSTM, labels=LABELS, reader=None, **params):
    """
    A random tagger. `parts` are pairs of indexers and embedders by name; `params` change the
    tagger, `reader` the dataset reader.
    """
    torch.manual_seed(0)
    vocab = Vocabulary(padding_token="@@PADDING@@")
    for label in labels:
        vocab.add_token_to_namespace(label, "labels")
    for word in WORDS:
        vocab.add_token_to_namespace(word, "tokens")
        for character in word:
            vocab.add_token_to_namespace(character, "token_characters")
    model = {
        "type": "structured_crf_tagger",
        "label_encoding": "BIO",
        "constrain_crf": True,
        "include_start_end_transitions": True,
        "dropout": 0.5,
        "text_field_embedder": {
            "token_embedders": {name: embedder for name, (_, embedder) in parts.items()}
        },
        "encoder": encoder,
        **params,
    }
    own = {
        "type": "structkd_conll",
        "language": "en",
        "token_indexers": {name: indexer for name, (indexer, _) in parts.items()},
    }
    return random_archive(path, vocab, {**own, **(reader or {})}, model)
