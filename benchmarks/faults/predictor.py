"""Odd lines of input to a prediction job: what comes out."""

import json
import logging
from collections import Counter
from typing import Any, List

from allennlp.models import load_archive
from allennlp.predictors import Predictor
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import structkd_allennlp.registrables  # noqa: F401

# With the halves of surrogate pairs.
CHARACTERS = st.characters(exclude_categories=[]) | st.sampled_from(
    '[]{}",: \t\u2028\ufeff\0aA0\u0301'
)
TEXT = st.text(CHARACTERS, max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**4000)
VALUES = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(TEXT, x), max_leaves=8)
LANGUAGES = st.sampled_from(["en", "es", "zh", "ja", "xx", "tlh", "", "char_classes", "..", "a.b"])
WORDS = st.lists(TEXT, max_size=8)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "sentence": TEXT | VALUES,
        "words": WORDS | VALUES,
        "language": LANGUAGES | VALUES,
        "id": VALUES,
    },
)


@st.composite
def _lines(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["text", "request", "words", "value", "broken", "deep", "long"]))
    if kind == "text":
        line = draw(TEXT)
    elif kind in ("deep", "long"):
        line = draw(st.text('[{"a1 ,:', min_size=1, max_size=3)) * draw(st.integers(1, 2000))
    else:
        values: Any = draw({"request": REQUESTS, "words": WORDS}.get(kind, VALUES | REQUESTS))
        line = json.dumps(values, ensure_ascii=draw(st.booleans()))
        if kind == "broken":
            cut = draw(st.integers(0, len(line)))
            line = line[:cut] + draw(TEXT) + line[cut + draw(st.integers(0, 3)) :]
    # What AllenNLP makes lines of, and it skips blank ones.
    line = line.replace("\n", " ").replace("\r", " ")
    return line if line.strip() else "a"


class OddLines:
    """
    A prediction job over a few odd lines at a time, with `skip_errors`.

    # Parameters

    archive : `str`
    """

    def __init__(self, archive: str = "fixtures/teachers/en.tar.gz") -> None:
        settings_ = {"skip_errors": True, "top_k": 2, "marginals": True}
        self.predictor = Predictor.from_archive(
            load_archive(archive), "structured_tagger", extra_args=settings_
        )
        self.outcomes: Counter[str] = Counter()

    def run(self, lines: List[str]) -> None:
        """As `allennlp predict` does it. Counts what becomes of each line."""
        inputs = [self.predictor.load_line(line + "\n") for line in lines]
        # The command prints them.
        json.dumps(inputs)
        outputs = self.predictor.predict_batch_json(inputs)
        assert len(outputs) == len(lines)
        for output in outputs:
            self.outcomes["refused" if self._checked(output) else "tagged"] += 1

    def _checked(self, output: Any) -> bool:
        """Whether an output is an error; raises for anything but an error or a whole prediction."""
        line = self.predictor.dump_line(output)
        assert line.endswith("\n")
        assert "\n" not in line[:-1]
        line.encode("utf-8")
        assert json.loads(line, parse_constant=_no_number) == output
        if set(output) == {"error"}:
            # 100 characters of data may take ten each to write.
            assert output["error"].startswith("line ")
            assert len(output["error"]) < 1600
            return True
        size = len(output["words"])
        for name in ("tags", "tag_probabilities", "marginals"):
            assert len(output[name]) == size
        assert bool(output["top_k"]) == bool(size)
        return False


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} in the output, which is no JSON")


def fuzz_predictor(cases: int, archive: str = "fixtures/teachers/en.tar.gz") -> Counter[str]:
    """
    # Parameters

    cases : `int`
        How many times to tag one to five lines of text, JSON and what is neither.
    archive : `str`, optional

    # Returns

    `Counter[str]`
        How many lines were `tagged` and how many `refused` with an error in their place of the
        output. An exception or an output of any other form ends in an error of hypothesis, which
        shows the smallest case.
    """
    logger = logging.getLogger("structkd_allennlp")
    level = logger.level
    logger.setLevel(logging.ERROR)
    job = OddLines(archive)

    @seed(0)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_lines(), min_size=1, max_size=5))
    def trial(lines: List[str]) -> None:
        job.run(lines)

    try:
        trial()
    finally:
        logger.setLevel(level)
    return job.outcomes
