from itertools import product
from typing import List

import hypothesis.strategies as st
import pytest
from hypothesis import given
from seqeval.metrics.sequence_labeling import get_entities

from structkd_allennlp.data.tag_schemes import (
    TagSchemeError,
    entity_spans,
    recode,
    spans_to_bio,
)

IOB = ["O", "B-A", "I-A", "B-B", "I-B"]


def entities(tags: List[str]) -> List[object]:
    """What seqeval, which follows conlleval, finds; it knows BIOUL as BIOES."""
    return sorted(get_entities([tag.replace("L-", "E-").replace("U-", "S-") for tag in tags]))


def tags_in(scheme: str, spans: List[List[object]], length: int) -> List[str]:
    """An independent writer of the three schemes."""
    tags = ["O"] * length
    for label, start, end in sorted(spans, key=lambda s: s[1]):  # type: ignore[arg-type, return-value]
        for i in range(start, end + 1):  # type: ignore[call-overload, operator]
            prefix = "I"
            if scheme == "BIO" and i == start:
                prefix = "B"
            if scheme == "IOB1" and i == start and i and tags[i - 1][2:] == label:
                prefix = "B"
            if scheme == "BIOUL":
                prefix = {(1, 1): "U", (1, 0): "B", (0, 1): "L"}.get((i == start, i == end), "I")
            tags[i] = f"{prefix}-{label}"
    return tags


@given(st.lists(st.sampled_from(IOB), max_size=9), st.sampled_from(["BIO", "BIOUL"]))
def test_any_iob_sequence_keeps_the_entities_that_conlleval_counts(tags, output):
    recoded = recode(tags, output)
    assert len(recoded) == len(tags)
    assert entities(recoded) == entities(tags)
    # The output is valid, so a strict reading of it changes nothing.
    assert recode(recoded, output, output) == recoded


@given(st.lists(st.sampled_from(IOB), max_size=9))
def test_all_schemes_say_the_same(tags):
    spans = entities(tags)
    for source, output in product(["IOB1", "BIO", "BIOUL"], ["BIO", "BIOUL"]):
        written = tags_in(source, spans, len(tags))
        assert recode(written, output, source) == tags_in(output, spans, len(tags))


@given(st.lists(st.sampled_from([*IOB, "L-A", "U-A", "L-B", "U-B"]), max_size=5))
def test_strict_reading_accepts_exactly_what_a_writer_writes(tags):
    for scheme in ("IOB1", "BIO", "BIOUL"):
        writable = tags == tags_in(scheme, entities(tags), len(tags))
        if writable:
            recode(tags, "BIO", scheme)
        else:
            with pytest.raises(TagSchemeError) as error:
                recode(tags, "BIO", scheme)
            assert repr(tags[error.value.index]) in error.value.problem


@pytest.mark.parametrize(
    ("tags", "scheme", "index", "problem"),
    [
        (["O", "I-PER"], "BIO", 1, "'I-PER' cannot follow 'O' in BIO"),
        (["B-LOC", "I-PER"], "BIO", 1, "'I-PER' cannot follow 'B-LOC' in BIO"),
        (["I-PER"], "BIOUL", 0, "'I-PER' cannot start a sentence in BIOUL"),
        (["O", "B-PER"], "BIOUL", 1, "'B-PER' cannot end a sentence in BIOUL"),
        (["B-PER", "O"], "BIOUL", 1, "'O' cannot follow 'B-PER' in BIOUL"),
        (["O", "B-PER"], "IOB1", 1, "'B-PER' cannot follow 'O' in IOB1"),
        (["O", "S-PER"], None, 1, "'S-PER' is not a valid IOB1 or BIO tag"),
        (["U-PER"], "BIO", 0, "'U-PER' is not a valid BIO tag"),
        (["B-PER", "E-PER"], "BIOUL", 1, "'E-PER' is not a valid BIOUL tag"),
        (["NOUN"], None, 0, "'NOUN' is not a valid IOB1 or BIO tag"),
        (["Other"], None, 0, "'Other' is not a valid IOB1 or BIO tag"),
        (["B-"], None, 0, "'B-' is not a valid IOB1 or BIO tag"),
        (["O-PER"], None, 0, "'O-PER' is not a valid IOB1 or BIO tag"),
        ([""], None, 0, "'' is not a valid IOB1 or BIO tag"),
        (["b-PER"], None, 0, "'b-PER' is not a valid IOB1 or BIO tag"),
    ],
)
def test_the_first_bad_tag_is_named(tags, scheme, index, problem):
    with pytest.raises(TagSchemeError) as error:
        recode(tags, "BIOUL", scheme)
    assert (error.value.index, error.value.problem) == (index, problem)


def test_types_may_be_missing_or_hold_a_dash():
    assert recode(["B", "I", "O"], "BIOUL") == ["B", "L", "O"]
    assert recode(["I-B-x", "I-B-x"], "BIO") == ["B-B-x", "I-B-x"]
    assert spans_to_bio([("A", (1, 2)), ("A", (3, 3))], 4) == ["O", "B-A", "I-A", "B-A"]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["O", "I-A", "I-A", "B-A"], [("A", 1, 3), ("A", 3, 4)]),
        (["B-A", "L-A", "U-B", "O"], [("A", 0, 2), ("B", 2, 3)]),
        (["B-A", "M-A", "E-A", "S-B"], [("A", 0, 3), ("B", 3, 4)]),
        (["I-A", "I-B"], [("A", 0, 1), ("B", 1, 2)]),
        ([], []),
    ],
)
def test_spans(tags, spans):
    assert entity_spans(tags) == spans


def test_bio_spans_are_those_of_seqeval():
    for tags in product(["O", "B-A", "I-A", "B-B", "I-B"], repeat=3):
        theirs = [(label, start, end + 1) for label, start, end in get_entities(list(tags))]
        assert entity_spans(tags) == theirs
