"""The fixtures are what their makers make, and good enough for the tests that use them."""

import os
import subprocess
import sys

import pytest
from allennlp.common import Params
from allennlp.data import DataLoader
from allennlp.evaluation import SimpleEvaluator
from allennlp.models import load_archive

import structkd_allennlp  # noqa: F401


def test_corpora_are_what_the_masters_give():
    done = subprocess.run(
        [sys.executable, "fixtures/make_corpora.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("language", "other"), [("en", "es"), ("es", "en")])
def test_teachers_know_their_language(language, other):
    """And it better than the other one, or there would be no reason to have two."""
    archive = load_archive(f"fixtures/teachers/{language}.tar.gz")

    def f1(of):
        loader = DataLoader.from_params(
            Params({"batch_size": 8}),
            reader=archive.dataset_reader,
            data_path=f"fixtures/conll/{of}/dev.txt",
        )
        loader.index_with(archive.model.vocab)
        return SimpleEvaluator()(archive.model, loader)[f"f1-measure/{of}"]

    assert f1(language) > max(0.6, f1(other))


def test_the_tiny_bert_loads_offline():
    """In a process of its own, since a loaded library no longer looks at its environment."""
    program = """
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("fixtures/tiny_mbert")
model = AutoModel.from_pretrained("fixtures/tiny_mbert")
batch = tokenizer(["Anna lives in Utrecht", "María vive en Москва"], padding=True)
hidden = model(**batch.convert_to_tensors("pt")).last_hidden_state
assert hidden.shape[0] == 2 and hidden.shape[2] == model.config.hidden_size == 32, hidden.shape
assert len(tokenizer) == model.config.vocab_size
assert tokenizer.tokenize("Anna lives") != ["[UNK]", "[UNK]"]
"""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
