"""Where test data lies, and how a complaint about bad input is caught."""

from pathlib import Path
from typing import Callable, Iterable

import pytest
from allennlp.common.checks import ConfigurationError

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
CORPORA = ROOT / "data"


def complaint(read: Callable[[], Iterable[object]]) -> str:
    """The message of the `ConfigurationError` that reading everything ends in."""
    with pytest.raises(ConfigurationError) as error:
        list(read())
    return str(error.value)
