"""The input of a prediction job: what a line of it asks for, and what becomes of the bad ones."""

import json
import logging
import weakref
from contextlib import suppress
from typing import Any, Dict, List, NamedTuple, Optional, Union

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from structkd_allennlp.common.text import quoted

logger = logging.getLogger(__name__)

BYTE_ORDER_MARK = "\ufeff"

FORMS = 'Write {"sentence": "..."} or {"words": ["..."]}'


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


class Request(NamedTuple):
    """A sentence to tag, in words or as raw text, and its language, if that is named."""

    sentence: Union[List[str], str]
    language: Optional[str]

    @classmethod
    def from_json(cls, values: Any) -> "Request":
        """Raises `ConfigurationError` where the values are not those that `FORMS` shows."""
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"an input must be a JSON object, not {quoted(values)}. {FORMS}"
            )
        words, sentence, language = map(values.get, ("words", "sentence", "language"))
        if (words is None) == (sentence is None):
            raise ConfigurationError(
                'an input needs either "words", a list of strings, or "sentence", a string: '
                f"{quoted(values)}"
            )
        if language is not None and not _is_language(language):
            raise ConfigurationError(
                f'"language" must be a string such as "en", not {quoted(language)}'
            )
        return cls(_text(sentence) if words is None else _words(words), language)

    def to_json(self) -> JsonDict:
        values: JsonDict = {
            "sentence" if isinstance(self.sentence, str) else "words": self.sentence
        }
        if self.language is not None:
            values["language"] = self.language
        return values


def parse_line(line: str) -> JsonDict:
    """
    # Returns

    `JsonDict`
        `sentence` or `words`, and `language` if the line names it.

    # Raises

    `ConfigurationError` for a line that is neither plain text nor JSON of one of these.
    """
    start = line.lstrip()[:1]
    if start == "[":
        # A list of words, unless it is a sentence that starts with a bracket.
        with suppress(ValueError):
            return Request.from_json({"words": _from_json(line)}).to_json()
    if start != "{":
        return Request.from_json({"sentence": line}).to_json()
    try:
        values = _from_json(line)
    except ValueError as error:
        raise ConfigurationError(
            f"this line starts as JSON but is none ({error}): {quoted(line)}. {FORMS}; a plain "
            "sentence that starts with a brace must be written as JSON"
        ) from error
    return Request.from_json(values).to_json()


def _from_json(line: str) -> Any:
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ConfigurationError(
            f"this line is nested too deeply to be read: {quoted(line)}. {FORMS}"
        ) from error


def _text(sentence: Any) -> str:
    if not isinstance(sentence, str):
        raise ConfigurationError(f'"sentence" must be a string, not {quoted(sentence)}')
    _check_is_text(sentence)
    return sentence


def _words(words: Any) -> List[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise ConfigurationError(
            f'"words" must be a list of non-empty strings, not {quoted(words)}. A sentence that '
            'starts with a bracket must be written as {"sentence": "[..."}'
        )
    _check_is_text(" ".join(words))
    return words


def _check_is_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"character {error.start + 1}, {quoted(text[error.start])}, is half of a surrogate "
            f"pair or a byte that is not UTF-8: {quoted(text)}. Repair the text at its source"
        ) from error


def _is_language(language: Any) -> bool:
    return isinstance(language, str) and language.isprintable() and 0 < len(language) <= 100


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
