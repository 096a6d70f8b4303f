import logging

import pytest
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from tests.commands.failures import assert_nothing_was_trained
from tests.commands.user import KD


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


@pytest.fixture
def failure(tmp_path):
    """
    A function that trains with what a change makes of a configuration, and returns the message of
    the `ConfigurationError` that this must end in.
    """

    def run(change, config=KD):
        params = Params.from_file(config).as_dict(quiet=True)
        change(params)
        directory = tmp_path / "run"
        with pytest.raises(ConfigurationError) as error:
            train_model(Params(params), str(directory))
        assert_nothing_was_trained(directory)
        return error.value.message

    return run
