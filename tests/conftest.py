"""Tests find everything by its registered name, in whatever order they run."""

import structkd_allennlp.registrables  # noqa: F401
