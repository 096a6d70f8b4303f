"""The input of a prediction job, and what becomes of the bad lines."""

import logging
import weakref
from typing import Any, Dict, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from structkd_allennlp.common.text import quoted

logger = logging.getLogger(__name__)

BYTE_ORDER_MARK = "\ufeff"


class InputLine(Dict[str, Any]):
    """
    What a line asks for, as the dictionary that a `Predictor` expects, and where it comes from.

    # Parameters

    values : `JsonDict`
    number : `int`
        Of the line, from 1.
    text : `str`
        The line as it was, without its end.
    error : `str`, optional (default = `None`)
        Why it cannot be tagged.
    """

    def __init__(
        self, values: JsonDict, number: int, text: str, error: Optional[str] = None
    ) -> None:
        super().__init__(values)
        self.number = number
        self.text = text
        self.error = error


class BadLines:
    """
    Counts inputs, and those that cannot be tagged, and says so at the end: when nobody uses this
    any more, since AllenNLP tells a predictor no more than one batch at a time.

    # Parameters

    path : `str`, optional (default = `None`)
        Where to write the lines that cannot be tagged, as they were.

    # Raises

    `ConfigurationError` where the file cannot be written.
    """

    def __init__(self, path: Optional[str] = None) -> None:
        self._counts = {"all": 0, "bad": 0}
        self._file = None
        if path is not None:
            try:
                self._file = open(path, "wb", buffering=0)  # noqa: SIM115
            except OSError as error:
                raise ConfigurationError(
                    f"bad_lines cannot be written to {quoted(path)} ({error.strerror}). Name a "
                    "file in a directory that exists and can be written to"
                ) from error
        weakref.finalize(self, _summarise, self._counts, path)

    def count(self, inputs: int) -> None:
        self._counts["all"] += inputs

    def add(self, line: Optional[InputLine], error: str) -> None:
        """An input that cannot be tagged; `None` if it is not from a line."""
        self._counts["bad"] += 1
        if self._counts["bad"] <= 10:
            logger.warning("%s", error)
        if line is not None and self._file is not None:
            self._file.write(_bytes(line.text) + b"\n")


def _bytes(text: str) -> bytes:
    try:
        # Bytes that are no UTF-8 come as such escapes from standard input.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _summarise(counts: Dict[str, int], path: Optional[str]) -> None:
    if counts["bad"]:
        logger.warning(
            '%s of %s inputs could not be tagged: their lines of the output have an "error"%s.',
            f"{counts['bad']:,}",
            f"{counts['all']:,}",
            "" if path is None else f", and they are in {path}",
        )
