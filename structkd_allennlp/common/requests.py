"""What a line, or a call, asks a tagger for."""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union

import orjson

from structkd_allennlp.common.text import quoted

FORMS = 'Write {"sentence": "..."} or {"words": ["..."]}'


class RequestError(ValueError):
    """Says what is wrong with a request, and how to write it."""


class Request(NamedTuple):
    """A sentence to tag, in words or as raw text, and its language, if that is named."""

    sentence: Union[List[str], str]
    language: Optional[str]

    @classmethod
    def of(cls, sentence: Union[Sequence[str], str], language: Optional[str]) -> "Request":
        """Raises `RequestError` for a sentence that cannot be tagged, and for no language."""
        if isinstance(sentence, str):
            return cls.from_json({"sentence": sentence, "language": language})
        words = list(sentence) if isinstance(sentence, tuple) else sentence
        return cls.from_json({"words": words, "language": language})

    @classmethod
    def from_json(cls, values: Any) -> "Request":
        """Raises `RequestError` where the values are not those that `FORMS` shows."""
        if not isinstance(values, dict):
            raise RequestError(f"an input must be a JSON object, not {quoted(values)}. {FORMS}")
        words, sentence, language = map(values.get, ("words", "sentence", "language"))
        if (words is None) == (sentence is None):
            raise RequestError(
                'an input needs either "words", a list of strings, or "sentence", a string: '
                f"{quoted(values)}"
            )
        if language is not None and not _is_language(language):
            raise RequestError(f'"language" must be a string such as "en", not {quoted(language)}')
        return cls(_text(sentence) if words is None else _words(words), language)

    def to_json(self) -> Dict[str, Any]:
        values: Dict[str, Any] = {
            "sentence" if isinstance(self.sentence, str) else "words": self.sentence
        }
        if self.language is not None:
            values["language"] = self.language
        return values


def parse_line(line: str) -> Request:
    """Raises `RequestError` for a line that is neither plain text nor JSON as `FORMS` has it."""
    start = line.lstrip()[:1]
    if start not in ("[", "{"):
        return Request.of(line, None)
    try:
        values = _from_json(line)
    except RequestError:
        raise
    except ValueError as error:
        if start == "[":
            # A sentence that starts with a bracket.
            return Request.of(line, None)
        raise RequestError(
            f"this line starts as JSON but is none ({error}): {quoted(line)}. {FORMS}; a plain "
            "sentence that starts with a brace must be written as JSON"
        ) from error
    return Request.of(values, None) if start == "[" else Request.from_json(values)


def _from_json(line: str) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        # Which does not read all that Python writes, such as NaN; and for messages.
        pass
    try:
        return json.loads(line)
    except RecursionError as error:
        raise RequestError(
            f"this line is nested too deeply to be read: {quoted(line)}. {FORMS}"
        ) from error


def _text(sentence: Any) -> str:
    if not isinstance(sentence, str):
        raise RequestError(f'"sentence" must be a string, not {quoted(sentence)}')
    _check_is_text(sentence)
    return sentence


def _words(words: Any) -> List[str]:
    try:
        # Which refuses what is not a string, too, in a fraction of the time.
        text = " ".join(words) if isinstance(words, list) else None
    except TypeError:
        text = None
    if text is None or not all(words):
        raise RequestError(
            f'"words" must be a list of non-empty strings, not {quoted(words)}. A sentence that '
            'starts with a bracket must be written as {"sentence": "[..."}'
        )
    _check_is_text(text)
    return words


def _check_is_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(
            f"character {error.start + 1}, {quoted(text[error.start])}, is half of a surrogate "
            f"pair or a byte that is not UTF-8: {quoted(text)}. Repair the text at its source"
        ) from error


def _is_language(language: Any) -> bool:
    return isinstance(language, str) and language.isprintable() and 0 < len(language) <= 100
