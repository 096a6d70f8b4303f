import logging

import pytest


@pytest.fixture(autouse=True)
def clean_logging():
    """A training run that fails leaves its handlers, and so its open log files, behind."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers = before
