"""Which sentences are left out, in a form that is short in a file."""

from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.suite.repeated import indexes, ranges


def test_by_hand():
    assert ranges([]) == ""
    assert ranges([9, 3, 4, 5, 5]) == "3-5,9"
    assert indexes("3-5,9") == [3, 4, 5, 9]


@given(st.sets(st.integers(0, 300)))
def test_ranges_and_back(numbers):
    text = ranges(numbers)
    assert indexes(text) == sorted(numbers)
    assert len(text) <= len(",".join(map(str, sorted(numbers))))
