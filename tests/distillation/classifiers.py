"""Tiny token classifiers of Hugging Face to teach."""

import runpy

from tests.distillation.taggers import LABELS

_MAKER = runpy.run_path("fixtures/make_token_classifier.py")


def classifier(path, labels=LABELS, seed=0):
    """Writes a random one, and returns its directory."""
    _MAKER["write"](path, labels, seed)
    return str(path)
