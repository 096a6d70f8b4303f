"""Tiny token classifiers of Hugging Face to teach."""

import runpy

import torch
from tokenizers import ByteLevelBPETokenizer  # type: ignore[import-untyped]
from transformers import RobertaConfig, RobertaForTokenClassification, RobertaTokenizerFast

from tests.distillation.taggers import LABELS

_MAKER = runpy.run_path("fixtures/make_token_classifier.py")


def classifier(path, labels=LABELS, seed=0):
    """Writes a random one, and returns its directory."""
    _MAKER["write"](path, labels, seed)
    return str(path)


def byte_level_classifier(path):
    """A RoBERTa, whose sub-words are others after a space. It takes 64 of them."""
    # AllenNLP asks how "a" and "b" are split.
    words = "a b Maria Fernández lives in Rotterdam , and Zaragoza is unbelievably far from here ."
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [words, words.replace(" ", ""), *[" a b"] * 9]
    trained.train_from_iterator(texts, 400, special_tokens=special)
    path.mkdir(exist_ok=True)
    trained.save_model(str(path))
    tokenizer = RobertaTokenizerFast(str(path / "vocab.json"), str(path / "merges.txt"))
    tokenizer.save_pretrained(str(path))
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=1.0,
        id2label=dict(enumerate(LABELS)),
    )
    RobertaForTokenClassification(config).save_pretrained(str(path))
    return str(path)
