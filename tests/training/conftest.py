import shutil

import pytest
import torch
from transformers import AutoTokenizer, BertModel

from tests.training.copies import BERT, bilstm, make, saved


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(0)
    model, config = make(**bilstm())
    return model, saved(tmp_path / "teacher", model, config)


@pytest.fixture
def deep(tmp_path):
    """A directory of a transformer of four layers, with words of its own, and its model."""
    torch.manual_seed(3)
    folder = tmp_path / "deep"
    tokenizer = AutoTokenizer.from_pretrained(BERT)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    # Every other piece, backwards, with the special tokens in other places.
    own = [*pieces[:5], *pieces[:4:-2], "unheard", "of"]
    shutil.copytree(BERT, folder)
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(own) + "\n", encoding="utf-8")
    config = BertModel.from_pretrained(BERT).config
    config.update({"num_hidden_layers": 4, "vocab_size": len(own)})
    model = BertModel(config)
    model.save_pretrained(folder)
    return model, folder, pieces, own
