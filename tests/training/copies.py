"""Taggers to copy from, and those that copy."""

import torch
from allennlp.common import Params
from allennlp.data import Vocabulary
from allennlp.models import Model
from allennlp.models.archival import archive_model

BERT = "fixtures/tiny_mbert"
TEACHER = "fixtures/teachers/en.tar.gz"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = ["Ada", "met", "Bob", "in", "New", "York"]
CHARACTERS = list("AdametBobinNwYrk")
TOKENS = "text_field_embedder.token_embedder_tokens.weight"
LETTERS = "text_field_embedder.token_embedder_token_characters._embedding._module.weight"
TRANSFORMER = "text_field_embedder.token_embedder_tokens._matched_embedder.transformer_model."
HEAD = "tag_projection_layer._module.weight"


def bilstm(size=6, hidden=4, words=5):
    return {
        "text_field_embedder": {
            "token_embedders": {
                "tokens": {"type": "embedding", "embedding_dim": words},
                "token_characters": {
                    "type": "character_encoding",
                    "embedding": {"embedding_dim": 3, "vocab_namespace": "token_characters"},
                    "encoder": {"type": "cnn", "embedding_dim": 3, "num_filters": size - words}
                    | {"ngram_filter_sizes": [2]},
                },
            }
        },
        "encoder": {"type": "lstm", "input_size": size, "hidden_size": hidden}
        | {"bidirectional": True},
    }


def transformer(directory=BERT, type_="pretrained_transformer_mismatched", **kwargs):
    embedder = {"type": type_, "model_name": directory, **kwargs}
    return {
        "text_field_embedder": {"token_embedders": {"tokens": embedder}},
        "encoder": {"type": "pass_through", "input_dim": 32},
    }


def copied(source, **params):
    initializer = {"type": "copied", "source": str(source), **params}
    return {"initializer": {"regexes": [[".*", initializer]]}}


def make(words=WORDS, labels=LABELS, letters=CHARACTERS, type_="structured_crf_tagger", **params):
    """A tagger and its configuration."""
    vocab = Vocabulary()
    for namespace, names in (("tokens", words), ("token_characters", letters), ("labels", labels)):
        for name in names:
            vocab.add_token_to_namespace(name, namespace)
    config = {"type": type_, "include_start_end_transitions": True, **params}
    return Model.from_params(vocab=vocab, params=Params(config).duplicate()), config


def saved(folder, model, config):
    """A model as an archive. Its reader is never used."""
    folder.mkdir()
    config = {"dataset_reader": {"type": "structkd_conll"}, "model": config}
    Params(config).to_file(str(folder / "config.json"))
    model.vocab.save_to_files(str(folder / "vocabulary"))
    torch.save(model.state_dict(), folder / "best.th")
    return archive_model(folder)


def parameters(model):
    return {n: x.detach() for n, x in model.named_parameters() if n != "crf._constraint_mask"}


def changed(student, start):
    own, before = parameters(student), parameters(start)
    return {name for name in own if not torch.equal(own[name], before[name])}


def twins(seed=1, **params):
    """A student that copies, and the same without."""
    initializer = params.pop("initializer")
    models = []
    for extra in ({"initializer": initializer}, {}):
        torch.manual_seed(seed)
        models.append(make(**params, **extra)[0])
    return models
