"""Taggers of all kinds, exported: as good as their archives, or not there."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.predictors import Predictor

from structkd_allennlp.serving import Tagger
from structkd_allennlp.serving.export import exporter
from structkd_allennlp.serving.export.exporter import export_tagger
from tests.distillation.classifiers import byte_level_classifier
from tests.serving.archives import (
    CHARACTER_CNN,
    CHARACTERS,
    LSTM,
    MISMATCHED,
    TRANSFORMER,
    WORD,
    archived,
)
from tests.serving.tagger_test import SENTENCES, of_predictor, same

FOLDED = TRANSFORMER, TRANSFORMER
PASS = {"type": "pass_through"}

LOWER = (
    {"type": "single_id", "lowercase_tokens": True},
    {**WORD[1], "projection_dim": 3},
)
LOWER_CHARACTERS = (
    {**CHARACTERS[0], "character_tokenizer": {"lowercase_characters": True}},
    {
        **CHARACTERS[1],
        "encoder": {
            **CHARACTER_CNN,
            "output_dim": 5,
            "conv_layer_activation": "tanh",
        },
    },
)
TWO_LAYERS = {"type": "lstm", "hidden_size": 4, "num_layers": 2}
GRU = {"type": "gru", "hidden_size": 4, "bidirectional": True}
FEEDFORWARD = {"input_dim": 4, "num_layers": 1, "hidden_dims": 7, "activations": "tanh"}

KINDS = {
    "characters alone, no entities": (
        {"own": CHARACTERS},
        LSTM,
        {"constrain_crf": False, "label_encoding": None},
    ),
    "one direction, feedforward, decoding alone constrained": (
        {"tokens": WORD},
        TWO_LAYERS,
        {"feedforward": FEEDFORWARD, "constrain_crf": False, "constrain_crf_decoding": True},
    ),
    "gru, lower case, projections, no constraints": (
        {"tokens": LOWER, "characters": LOWER_CHARACTERS},
        GRU,
        {"constrain_crf": False, "include_start_end_transitions": False},
    ),
    "transformer": ({"tokens": FOLDED}, PASS, {}),
    "folded at 6": ({"tokens": 2 * ({**TRANSFORMER, "max_length": 6},)}, PASS, {}),
    "layers mixed, with words and characters": (
        {
            "tokens": (TRANSFORMER, {**TRANSFORMER, "last_layer_only": False}),
            "words": WORD,
            "token_characters": CHARACTERS,
        },
        LSTM,
        {},
    ),
    "first sub-words": (
        {"tokens": (MISMATCHED, {**MISMATCHED, "sub_token_mode": "first"})},
        PASS,
        {},
    ),
    "mean sub-words, folded at 20": ({"tokens": 2 * ({**MISMATCHED, "max_length": 20},)}, PASS, {}),
}


def check(archive, directory):
    """That a tagger says what the predictor says of its archive."""
    tagger = Tagger.load(directory, threads=1)
    predictor = Predictor.from_path(archive, "structured_tagger")
    sentences = [*SENTENCES, ["word", "unbelievably", "Rotterdam"] * 9]
    expected = of_predictor(predictor, sentences, None, 3, True)
    same(tagger.tag(sentences, top_k=3, marginals=True), expected)
    return tagger


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_the_tagger(tmp_path, kind):
    parts, encoder, params = KINDS[kind]
    archive = archived(tmp_path / "t", parts, encoder, **params)
    exported = export_tagger(str(archive), tmp_path / "out")
    assert exported.difference < 1e-4
    assert exported.words > 100
    assert sorted(x.name for x in tmp_path.iterdir()) == ["out", "t"]
    check(archive, tmp_path / "out")
    model = onnx.load(str(tmp_path / "out/model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    shape = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param for dim in shape][:2] == ["batch", "length"]


def test_sub_words_that_differ_after_a_space(tmp_path):
    model = byte_level_classifier(tmp_path / "roberta")
    part = {"type": "folded_transformer", "model_name": model}
    archive = archived(tmp_path / "t", {"tokens": (part, part)}, PASS)
    export_tagger(str(archive), tmp_path / "out")
    check(archive, tmp_path / "out")


def test_a_student(tmp_path):
    """The archive of a `structure_kd` holds its student."""
    archived(tmp_path / "t", {"tokens": WORD, "token_characters": CHARACTERS})
    directory = tmp_path / "t"
    config = json.loads((directory / "config.json").read_text())
    config["model"] = {
        "type": "structure_kd",
        "student": config["model"],
        "teachers": "nowhere/model.tar.gz",
        "objective": {"type": "posterior"},
        "interpolation": {"type": "constant", "value": 1.0},
    }
    (directory / "config.json").write_text(json.dumps(config))
    weights = torch.load(directory / "best.th")
    torch.save({f"student.{name}": value for name, value in weights.items()}, directory / "best.th")
    metrics = {"best_validation_accuracy": 0.5, "epoch": 3, "validation_accuracy": 0.4}
    (directory / "metrics.json").write_text(json.dumps(metrics))
    export_tagger(str(directory), tmp_path / "student")
    tagger = check(directory, tmp_path / "student")
    assert tagger.info["metrics"] == {"best_validation_accuracy": 0.5}
    assert "0.5000" in tagger.card


def test_a_reader_for_each_language(tmp_path):
    """Raw text is split as the reader of its language splits it."""
    indexers = {"tokens": WORD[0]}
    own = {"type": "structkd_conll", "token_indexers": indexers}
    reader = {
        "type": "multilingual",
        "languages": ["en", "de", "es"],
        "readers": {
            "en": own,
            "de": {**own, "tokenizer": {"type": "blank_spacy", "language": "xx"}},
            "es": {**own, "tokenizer": {"type": "just_spaces"}},
        },
        "language": None,
        "token_indexers": None,
    }
    reader = {key: value for key, value in reader.items() if value is not None}
    archived(tmp_path / "t", {"tokens": WORD})
    directory = tmp_path / "t"
    config = json.loads((directory / "config.json").read_text())
    config["dataset_reader"] = reader
    (directory / "config.json").write_text(json.dumps(config))
    export_tagger(str(directory), tmp_path / "out")
    tagger = Tagger.load(tmp_path / "out", threads=1)
    predictor = Predictor.from_path(directory, "structured_tagger")
    text = "z.B. don't (12,50€)"
    for language in (None, "en", "de", "nl"):
        assert (
            tagger.tag([text], language)[0]["words"]
            == predictor.predict(text, language=language or None)["words"]
        )
    with pytest.raises(ValueError, match="give words"):
        tagger.tag([text], "es")
    assert tagger.tag([text.split()], "es")[0]["words"] == text.split()


def test_int8(tmp_path):
    plain = export_tagger("fixtures/teachers/en.tar.gz", tmp_path / "plain")
    small = export_tagger("fixtures/teachers/en.tar.gz", tmp_path / "small", "int8")
    assert plain.changed is None
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in ("plain", "small")]
    assert sizes[1] < sizes[0] / 2
    assert small.changed <= small.words * 0.05
    tagger = Tagger.load(tmp_path / "small")
    assert tagger.info["quantised"] == {"type": "int8", "changed": small.changed}
    assert f"changes {small.changed} of" in tagger.card
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "small/model.onnx")).graph.node}
    assert "DynamicQuantizeLSTM" in kinds


def test_what_differs_is_not_kept(tmp_path, monkeypatch):
    class Wrong(Tagger):
        def emission_scores(self, sentences):
            return [own + 2e-4 for own in super().emission_scores(sentences)]

    monkeypatch.setattr(exporter, "Tagger", Wrong)
    with pytest.raises(ConfigurationError, match=r"differ by up to 0\.0002"):
        export_tagger("fixtures/teachers/en.tar.gz", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_no_numbers_are_refused(tmp_path):
    archived(tmp_path / "t", {"tokens": WORD})
    weights = torch.load(tmp_path / "t/best.th")
    weights["tag_projection_layer._module.bias"][0] = np.nan
    torch.save(weights, tmp_path / "t/best.th")
    with pytest.raises(ConfigurationError, match="no numbers"):
        export_tagger(str(tmp_path / "t"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


STACKED = {"type": "stacked_bidirectional_lstm", "hidden_size": 4, "num_layers": 1}
CHARACTER_LSTM = {"type": "lstm", "input_size": 3, "hidden_size": 4}
BYTES = (
    {**CHARACTERS[0], "character_tokenizer": {"byte_encoding": "utf-8"}},
    {**CHARACTERS[1], "embedding": {"embedding_dim": 3, "num_embeddings": 257}},
)

REFUSED = {
    "StackedBidirectionalLstm": ({"tokens": WORD}, STACKED, None),
    "character_encoding with a cnn": (
        {"tokens": (CHARACTERS[0], {**CHARACTERS[1], "encoder": CHARACTER_LSTM})},
        LSTM,
        None,
    ),
    "end_tokens": (
        {"tokens": ({"type": "single_id", "end_tokens": ["@end@"]}, WORD[1])},
        LSTM,
        None,
    ),
    "byte_encoding": ({"own": BYTES}, LSTM, None),
    "SequenceTaggingDatasetReader": ({"tokens": WORD}, LSTM, {"type": "sequence_tagging"}),
    "indexes languages|in another way": (
        {"tokens": WORD},
        LSTM,
        {
            "type": "multilingual",
            "languages": ["en", "de"],
            "readers": {
                "en": {"type": "structkd_conll"},
                "de": {"type": "structkd_conll", "token_indexers": {"own": CHARACTERS[0]}},
            },
        },
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_form_is_refused(tmp_path, what):
    parts, encoder, reader = REFUSED[what]
    archived(tmp_path / "t", parts, encoder)
    if reader is not None:
        path = tmp_path / "t/config.json"
        config = json.loads(path.read_text())
        config["dataset_reader"] = reader
        path.write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=what):
        export_tagger(str(tmp_path / "t"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_paths(tmp_path):
    with pytest.raises(ConfigurationError, match="no archive"):
        export_tagger("nowhere.tar.gz", tmp_path / "out")
    shutil.copy("fixtures/teachers/en.tar.gz", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="exists already"):
        export_tagger("fixtures/teachers/en.tar.gz", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="none of int8"):
        export_tagger("fixtures/teachers/en.tar.gz", tmp_path / "other", "int4")
