"""Transformer taggers as Hugging Face directories: as good as the archive, or not there."""

import json
import re
import shutil

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from transformers import pipeline

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.huggingface_teacher import HuggingFaceSource
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.models import transformer_export
from structkd_allennlp.models.transformer_export import export_transformer
from structkd_allennlp.modules.tagger_chain import chain_of
from tests.distillation.classifiers import byte_level_classifier
from tests.distillation.taggers import LABELS
from tests.random_archive import random_archive

CPU = torch.device("cpu")
SENTENCES = [
    Sentence(["Maria", "Fernández", "lives", "in", "Rotterdam", "."], "en"),
    Sentence(["Ada"], "es"),
    Sentence(["unbelievably", "Zaragoza", "(", "İstanbul", ")"] * 3, "pt"),
]


def archived(path, embedder=None, indexer=None, labels=LABELS, extra=None, **params):
    """A random tagger on the tiny BERT, its parts changed as a test wants them."""
    transformer = {
        "type": "pretrained_transformer_mismatched",
        "model_name": "fixtures/tiny_mbert",
        "max_length": 64,
    }
    torch.manual_seed(0)
    vocab = Vocabulary()
    for label in labels:
        vocab.add_token_to_namespace(label, "labels")
    model = {
        "type": "structured_crf_tagger",
        "label_encoding": "BIO",
        "constrain_crf": True,
        "include_start_end_transitions": True,
        "dropout": 0.5,
        "text_field_embedder": {
            "token_embedders": {"tokens": {**transformer, **(embedder or {})}, **(extra or {})}
        },
        "encoder": {"type": "pass_through", "input_dim": 32},
        **params,
    }
    indexers = {"tokens": indexer or transformer}
    if extra:
        indexers["words"] = {"type": "single_id"}
    reader = {"type": "structkd_conll", "token_indexers": indexers}
    return random_archive(path, vocab, reader, model)


def decoded(archive, sentence):
    """By the tagger itself."""
    source = ArchiveSource(archive)
    (scores,) = source.emissions([sentence], CPU)
    tagger, _ = source.loaded()
    logits = torch.from_numpy(scores).unsqueeze(0)
    mask = torch.ones(logits.shape[:2], dtype=torch.bool)
    path = chain_of(tagger, logits, mask, constrained=True).k_best(1).paths[0, 0].tolist()
    return [tagger.labels[label] for label in path]


FOLDED = {"type": "folded_transformer", "model_name": "fixtures/tiny_mbert"}


@pytest.mark.parametrize("kind", ["first", "avg", "folded"])
def test_what_is_written_is_the_tagger(tmp_path, kind, monkeypatch):
    if kind == "folded":
        # Its parameters are others.
        embedder = {**FOLDED, "max_length": None}
        archive = archived(tmp_path / "t", embedder, {**FOLDED, "max_length": None})
    else:
        archive = archived(tmp_path / "t", {"sub_token_mode": kind})
    directory = tmp_path / "written"
    exported = export_transformer(archive, directory)
    assert exported.labels == LABELS
    assert exported.sub_token_mode == ("first" if kind == "first" else "avg")
    assert exported.difference < 1e-5
    assert exported.words > 100
    assert sorted(x.name for x in tmp_path.iterdir()) == ["t", "written"]
    config = json.loads((directory / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["id2label"] == {str(i): label for i, label in enumerate(LABELS)}
    assert "auto_map" not in config
    assert all(file.stat().st_mode & 0o044 for file in directory.iterdir())

    # The lines of its README.
    text = (directory / "README.md").read_text(encoding="utf-8")
    assert ("something else" in text) == (kind != "first")
    assert f"{512 if kind == 'folded' else 64} sub-words" in " ".join(text.split())
    (code,) = re.findall("^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(directory)
    names = {}
    exec(code, names)
    monkeypatch.undo()
    paths = [names["tag"](list(sentence.words)) for sentence in SENTENCES]
    assert paths == [decoded(archive, sentence) for sentence in SENTENCES]
    assert len({tag for path in paths for tag in path}) > 2
    assert len(names["tag"](["Ada", "\u200b", "Bob"])) == 3

    # A teacher like the archive.
    space = ArchiveSource(archive).loaded()[0].label_space
    hugging_face = {"type": "hugging_face", "model": str(directory)}
    ((one, _),) = Teachers(archive, space).chains(SENTENCES, CPU)
    ((other, _),) = Teachers(hugging_face, space).chains(SENTENCES, CPU)
    torch.testing.assert_close(one.marginals, other.marginals, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(one.pair_marginals, other.pair_marginals, rtol=1e-3, atol=1e-4)


def test_in_pipelines_of_transformers(tmp_path):
    archive = archived(tmp_path / "t", {"sub_token_mode": "first"})
    export_transformer(archive, tmp_path / "written")
    tag = pipeline("token-classification", str(tmp_path / "written"), device="cpu")
    (scores,) = HuggingFaceSource(str(tmp_path / "written")).emissions([SENTENCES[1]], CPU)
    assert tag("Ada", ignore_labels=[])[0]["entity"] == LABELS[scores[0].argmax()]


def test_a_tagger_without_a_crf(tmp_path):
    archived(tmp_path / "t", {"sub_token_mode": "first"})
    # Made a simple_tagger, which has the same weights but for the transitions.
    (tmp_path / "t" / "model.tar.gz").unlink()
    path, weights = tmp_path / "t" / "config.json", tmp_path / "t" / "best.th"
    config = json.loads(path.read_text())
    kept = ("text_field_embedder", "encoder", "label_encoding")
    config["model"] = {"type": "simple_tagger", **{x: config["model"][x] for x in kept}}
    path.write_text(json.dumps(config))
    state = {name: x for name, x in torch.load(weights).items() if not name.startswith("crf.")}
    torch.save(state, weights)
    export_transformer(str(tmp_path / "t"), tmp_path / "written")
    head = HuggingFaceSource(str(tmp_path / "written")).head()
    assert not any(potential.any() for potential in head.potentials)


def test_byte_level_sub_words(tmp_path):
    """A word is one after a space, in what is written. A tagger that saw it so is the same."""
    encoder = {"model_name": byte_level_classifier(tmp_path / "roberta"), "max_length": None}
    sizes = {"encoder": {"type": "pass_through", "input_dim": 16}}
    folded = {"type": "folded_transformer", **encoder}
    archive = archived(tmp_path / "folded", folded, folded, **sizes)
    exported = export_transformer(archive, tmp_path / "written")
    assert exported.difference < 1e-4
    plain = {"type": "pretrained_transformer_mismatched", **encoder}
    archive = archived(tmp_path / "plain", plain, plain, **sizes)
    with pytest.raises(ConfigurationError, match=r'another way .* "tokenizer_kwargs": {"add_pre'):
        export_transformer(archive, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"encoder": {"type": "lstm", "input_size": 32, "hidden_size": 4}},
            r"a LstmSeq2SeqEncoder between .* \"pass_through\"",
        ),
        (
            {
                "feedforward": {
                    "input_dim": 32,
                    "num_layers": 1,
                    "hidden_dims": 8,
                    "activations": "relu",
                }
            },
            "a feedforward network between its transformer and its scores",
        ),
        ({"embedder": {"last_layer_only": False}}, "it mixes the layers of its transformer"),
        (
            {
                "extra": {"words": {"type": "embedding", "embedding_dim": 4}},
                "encoder": {"type": "pass_through", "input_dim": 36},
            },
            "embedded by PretrainedTransformerMismatchedEmbedder, Embedding. That has to be",
        ),
    ],
)
def test_taggers_of_another_shape(tmp_path, params, message):
    archive = archived(tmp_path / "t", **params)
    with pytest.raises(ConfigurationError, match=f"cannot be written as .*: .*{message}"):
        export_transformer(archive, tmp_path / "written")
    assert [x.name for x in tmp_path.iterdir()] == ["t"]


def test_no_transformer_at_all(tmp_path):
    with pytest.raises(ConfigurationError, match=r"embedded by .*TokenCharactersEncoder"):
        export_transformer("fixtures/teachers/en.tar.gz", tmp_path / "written")
    with pytest.raises(ConfigurationError, match=r"there is no archive no/such\.tar\.gz"):
        export_transformer("no/such.tar.gz", tmp_path / "written")
    with pytest.raises(ConfigurationError, match="exists already"):
        export_transformer("fixtures/teachers/en.tar.gz", tmp_path)


def test_what_differs_is_not_kept(tmp_path, monkeypatch):
    archive = archived(tmp_path / "t", {"sub_token_mode": "first"})
    original = transformer_export._classifier

    def off(*args):
        model = original(*args)
        with torch.no_grad():
            model.classifier.bias[0] += 0.01
        return model

    monkeypatch.setattr(transformer_export, "_classifier", off)
    with pytest.raises(ConfigurationError, match=r"scores that differ by up to 0\.01, so"):
        export_transformer(archive, tmp_path / "written")
    assert [x.name for x in tmp_path.iterdir()] == ["t"]


def test_a_tokenizer_that_splits_otherwise(tmp_path, monkeypatch):
    """The archive's tokenizer is what counts, and the difference is seen."""
    archive = archived(tmp_path / "t", {"sub_token_mode": "first"})
    original = transformer_export._tokenizer

    def lowercasing(*args):
        tokenizer = original(*args)
        monkeypatch.undo()
        other = type(tokenizer).from_pretrained("fixtures/tiny_mbert", do_lower_case=True)
        other.model_max_length = 64
        return other

    monkeypatch.setattr(transformer_export, "_tokenizer", lowercasing)
    with pytest.raises(ConfigurationError, match="its tokenizer splits words in another way"):
        export_transformer(archive, tmp_path / "written")
    shutil.rmtree(tmp_path / "t")
    assert not list(tmp_path.iterdir())
