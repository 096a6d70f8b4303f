"""The place of a word's sub-words, against a search over all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structkd_allennlp.distillation.sub_words import Place, places


def split(word_ids, size, overlap):
    """Windows over sub-words as fast tokenizers make them, between two special tokens."""
    windows, start = [], 0
    while True:
        windows.append([None, *word_ids[start : start + size], None])
        if start + size >= len(word_ids):
            return windows
        start += size - overlap


def by_search(word_ids, size, overlap, word):
    """The best context that the first sub-word of a word has in any window."""
    if word not in word_ids:
        return None
    at, best, start = word_ids.index(word), None, 0
    while True:
        end = min(start + size, len(word_ids))
        if start <= at < end:
            left = at - start if start else 10**9
            right = end - 1 - at if end < len(word_ids) else 10**9
            best = max(best or 0, min(left, right))
        if end == len(word_ids):
            return best
        start += size - overlap


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=25).filter(any),
    st.integers(2, 12),
)
def test_first_sub_words_with_most_context(pieces, size):
    """Whatever number of sub-words a word has; 0 for some."""
    word_ids = [word for word, n in enumerate(pieces) for _ in range(n)]
    windows = split(word_ids, size, size // 2)
    found = places(windows, len(pieces))
    offsets = [number * (size - size // 2) for number in range(len(windows))]
    for word, place in enumerate(found):
        best = by_search(word_ids, size, size // 2, word)
        assert (place is None) == (best is None)
        if place is None:
            continue
        at = offsets[place.window] + place.start - 1
        assert at == word_ids.index(word)
        assert set(windows[place.window][place.start : place.end]) == {word}
        last = place.window == len(windows) - 1
        left = place.start - 1 if place.window else 10**9
        right = 10**9 if last else size - place.start
        assert min(left, right) == best


def test_one_window():
    assert places([[None, 0, 0, 2, None]], 3) == [Place(0, 1, 3), None, Place(0, 3, 4)]


@pytest.mark.parametrize("size", range(4, 30))
def test_a_word_has_a_quarter_of_a_window_around_it(size):
    """Which is what windows that overlap by half are for."""
    word_ids = list(range(200))
    windows = split(word_ids, size, size // 2)
    for place in places(windows, 200):
        left = place.start - 1 if place.window else size
        right = size - place.start if place.window < len(windows) - 1 else size
        assert min(left, right) >= size // 4 - 1
