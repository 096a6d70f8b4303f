"""Small random taggers to teach and to learn."""

import torch
from allennlp.common import Params
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import archive_model

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.data.sentences import Sentence

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = [Sentence(["Ada", "met", "Bob"], "en"), Sentence(["New", "York"], "en")]
READER = {"type": "structkd_conll", "label_encoding": "BIO"}


def tagger(labels, type_="structured_crf_tagger", seed=0, **params):
    torch.manual_seed(seed)
    vocab = Vocabulary()
    for word in ("Ada", "New", "York"):
        vocab.add_token_to_namespace(word, "tokens")
    for label in labels:
        vocab.add_token_to_namespace(label, "labels")
    config = {
        "type": type_,
        "text_field_embedder": {
            "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 4}}
        },
        "encoder": {"type": "pass_through", "input_dim": 4},
        **params,
    }
    return Model.from_params(vocab=vocab, params=Params(config).duplicate()), config


def archived(path, labels, reader=READER, type_="structured_crf_tagger", config=None, **params):
    """
    Saves a random tagger as an archive, with further parts of a config; returns the archive and the
    tagger.
    """
    model, own = tagger(labels, type_, **params)
    path.mkdir()
    config = {"dataset_reader": reader, "model": own, **(config or {})}
    Params(config).to_file(str(path / "config.json"))
    model.vocab.save_to_files(str(path / "vocabulary"))
    torch.save(model.state_dict(), path / "best.th")
    return archive_model(path), model.eval()


def student(labels=LABELS, **params):
    return tagger(labels, seed=9, label_encoding="BIO", **params)[0]
