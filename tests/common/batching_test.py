"""Batches of sentences: each of them once, and no batch of more than is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.common.batching import SentenceSize, weighted_batches

SIZES = st.builds(SentenceSize, st.integers(1, 50), st.integers(1, 4))


@given(st.lists(SIZES, max_size=30), st.integers(1, 300))
def test_batches(sizes, most):
    made = list(weighted_batches(dict(enumerate(sizes)), most))
    assert sorted(number for batch in made for number in batch) == list(range(len(sizes)))
    for batch in made:
        length = max(sizes[number].length for number in batch)
        weight = max(sizes[number].weight for number in batch)
        assert len(batch) == 1 or len(batch) * length * weight <= most


def test_sentences_of_one_size_fill_their_batches():
    sizes = {number: SentenceSize(10, 1) for number in range(25)}
    assert [len(batch) for batch in weighted_batches(sizes, 100)] == [10, 10, 5]
