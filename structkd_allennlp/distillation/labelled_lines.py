"""
Lines of JSON that any tool can write: the words of a sentence, and what it says of them.

    {"words": ["Ada", "lives"], "tags": ["B-PER", "O"]}
    {"words": ["Ada", "lives"], "distribution": [{"B-PER": 0.9, "O": 0.1}, {"O": 1.0}]}
    {"words": ["Ada", "lives"], "distribution": [[0.1, 0.9], [1.0, 0.0]]}

`"language"` is optional, and other keys are ignored. `"marginals"` is another name for
`"distribution"`, so lines of the predictor `structured_tagger` are such lines; so are its lines
that have only an `"error"`, which say nothing.
"""

import json
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.text import quoted

# Numbers may have been rounded, those of many labels too.
_TOLERANCE = 0.01
# Of what somebody has called impossible. Its logarithm has to be a number.
_LEAST = 1e-8


def are_alike(one: numpy.ndarray, other: numpy.ndarray) -> bool:
    """Whether two `log_probabilities` are the same but for rounding."""
    return numpy.allclose(numpy.exp(one), numpy.exp(other), rtol=0, atol=_TOLERANCE)


class BadLine(ConfigurationError):
    """
    A line that cannot be used.

    # Parameters

    problem, remedy : `str`
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}.")
        self.problem = problem
        self.remedy = remedy


class Labelled(NamedTuple):
    """A line: `distribution` is `None` where there are only tags, and `tags` may be `None` else."""

    words: List[str]
    language: Optional[str]
    tags: Optional[List[str]]
    distribution: Optional[List[Any]]


class LabelNumbers:
    """
    The labels of a file, in the order of their numbers.

    # Parameters

    stated : `Sequence[str]`, optional
        All that there may be. Otherwise those that come, in the order in which they come.
    """

    def __init__(self, stated: Optional[Sequence[str]] = None) -> None:
        self._open = stated is None
        self._numbers: Dict[str, int] = {x: number for number, x in enumerate(stated or ())}

    @property
    def labels(self) -> List[str]:
        return list(self._numbers)

    def number(self, label: str) -> int:
        if self._open:
            return self._numbers.setdefault(label, len(self._numbers))
        try:
            return self._numbers[label]
        except KeyError:
            raise BadLine(
                f"the label {quoted(label)}, which is not one of {quoted(self.labels)}",
                'Correct it, or add it to the "labels" of the teacher',
            ) from None

    def check_width(self, row: Sequence[Any]) -> None:
        if self._open:
            raise BadLine(
                f"a list of {len(row)} numbers, and nothing says of which labels they are",
                'Give the teacher "labels", in the order of the numbers, or write {label: number}',
            )
        if len(row) != len(self._numbers):
            raise BadLine(
                f"a list of {len(row)} numbers for a word, and there are {len(self._numbers)} "
                '"labels"',
                'Correct the line, or the "labels" of the teacher',
            )


def parse(line: str) -> Optional[Labelled]:
    """
    # Returns

    `Optional[Labelled]` : `None` for a line that says nothing.

    # Raises

    `BadLine`
    """
    if not line.strip():
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON ({error}): {quoted(line)}", "Write an object a line") from error
    if not isinstance(value, dict):
        raise BadLine(
            f"{quoted(value)} is not an object",
            'Write {"words": [...], "tags": [...]}, for example',
        )
    if "error" in value and "words" not in value:
        return None
    words = _strings(value, "words")
    language = value.get("language")
    if language is not None and not isinstance(language, str):
        raise BadLine(f'"language" is {quoted(language)}', "Give a string, or leave it out")
    distribution = value.get("distribution", value.get("marginals"))
    tags = None if value.get("tags") is None else _strings(value, "tags")
    if distribution is None and tags is None:
        raise BadLine(f'neither "tags" nor "distribution" for {quoted(words)}', "Give one of these")
    if distribution is not None and not isinstance(distribution, list):
        raise BadLine(f'"distribution" is {quoted(distribution)}', "Give a list, one entry a word")
    for name, own in (("tags", tags), ("distribution", distribution)):
        if own is not None and len(own) != len(words):
            raise BadLine(
                f'{len(words)} words and {len(own)} entries of "{name}" for {quoted(words)}',
                "Give one for each word",
            )
    return Labelled(words, language, tags, distribution)


def log_probabilities(
    labelled: Labelled, numbers: LabelNumbers, confidence: float
) -> numpy.ndarray:
    """
    # Parameters

    labelled : `Labelled`
    numbers : `LabelNumbers`
    confidence : `float`
        The probability of a tag. The other labels share the rest evenly.

    # Returns

    `numpy.ndarray` : `(length, labels)`, float32, all finite.

    # Raises

    `BadLine` for labels that there are not, and for what is no distribution.
    """
    if labelled.distribution is None:
        tags = [numbers.number(tag) for tag in labelled.tags or []]
        n = len(numbers.labels)
        found = numpy.full((len(tags), n), (1 - confidence) / max(n - 1, 1))
        found[numpy.arange(len(tags)), tags] = confidence if n > 1 else 1.0
    else:
        rows = [
            _row(entry, word, numbers)
            for entry, word in zip(labelled.distribution, labelled.words, strict=True)
        ]
        found = numpy.zeros((len(rows), len(numbers.labels)))
        for i, row in enumerate(rows):
            found[i, list(row)] = list(row.values())
        found /= found.sum(axis=1, keepdims=True)
    scores: numpy.ndarray = numpy.log(numpy.maximum(found, _LEAST)).astype(numpy.float32)
    return scores


def _row(entry: Any, word: str, numbers: LabelNumbers) -> Dict[int, float]:
    """The probabilities of a word by the number of their labels."""
    if isinstance(entry, dict):
        row = {numbers.number(label): p for label, p in entry.items()}
    elif isinstance(entry, list):
        numbers.check_width(entry)
        row = dict(enumerate(entry))
    else:
        raise BadLine(
            f"the distribution of {quoted(word)} is {quoted(entry)}",
            "Give {label: number}, or a list of numbers",
        )
    total = 0.0
    for p in row.values():
        if type(p) not in (int, float) or not 0 <= p <= 1 + _TOLERANCE:
            raise BadLine(
                f"the distribution of {quoted(word)} has {quoted(p)}",
                "Give probabilities, from 0 to 1",
            )
        total += p
    if not math.isclose(total, 1, abs_tol=_TOLERANCE):
        raise BadLine(
            f"the distribution of {quoted(word)} has a sum of {total:.4g}",
            "Give probabilities that add up to 1",
        )
    return row


def _strings(line: Dict[str, Any], name: str) -> List[str]:
    value = line.get(name)
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise BadLine(f'"{name}" is {quoted(value)}', "Give a list of strings")
    return value
