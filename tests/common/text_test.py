"""Values in messages: the same as `repr` gives while they are short, and never much longer."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structkd_allennlp.common.text import quoted

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=10)


def test_short_values_are_shown_as_they_are():
    for value in (
        "Köln",
        "it's",
        5,
        1.5,
        None,
        ["a", 1],
        {"words": ["a"], "b": [[2]]},
        ("a",),
        b"x",
    ):
        assert quoted(value) == repr(value)


def test_a_long_text_is_cut_and_its_length_is_told():
    assert quoted("x" * 1_234_567) == "'" + "x" * 100 + "'... (1,234,567 characters)"
    assert quoted("abcdef", 3) == "'abc'... (6 characters)"


LARGE = {
    "wide and deep": [[["x" * 1000] * 1000] * 1000] * 1000,
    "list": ["x" * 1000] * 1000,
    "long key": {"a" * 5000: 1},
    "dictionary": {str(i): i for i in range(1000)},
    "integer": 10**5000,
    "deep": json.loads("[" * 900 + "]" * 900),
    "bytes": b"\xff" * 100_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_values(kind):
    assert len(quoted(LARGE[kind])) <= 103


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_any_value(value):
    shown = quoted(value)
    # What cannot be printed is escaped.
    shown.encode("utf-8")
    assert "\n" not in shown
    # One character of text may take ten to write, and what was left out is told.
    assert len(shown) <= (10 * 100 + 40 if isinstance(value, str) else 103)
