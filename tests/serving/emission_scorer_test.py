"""What is kept of words, and that it is of no account for results."""

import random
import threading

import numpy as np
import pytest

from structkd_allennlp.serving.emission_scorer import EmissionScorer, WordVectors
from structkd_allennlp.serving.inputs import Words
from structkd_allennlp.serving.model_directory import ModelDirectory


@pytest.fixture
def make(exported):
    """Word vectors of the exported tagger, none of them known yet."""

    def made(**limits):
        own = EmissionScorer(ModelDirectory.read(exported), threads=1)._vectors
        return WordVectors(own._session, own._inputs, **limits)

    return made


def sentences(count, seed=0):
    rng = random.Random(seed)
    known = ["Maria", "Silva", "sings", "in", "Rotterdam", "!", "a", "12,50", "żółw", "東京"]
    return [
        [
            rng.choice(known) if rng.random() < 0.5 else "x" * rng.randint(1, 30) + str(i * j)
            for j in range(rng.randint(1, 9))
        ]
        for i in range(count)
    ]


def of_each(vectors, batch):
    words = Words(batch)
    return [own[:n] for own, n in zip(vectors(words), words.lengths.tolist(), strict=True)]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_they_are_the_same_to_the_bit_however_words_come(make, size):
    given = sentences(60)
    expected = of_each(make(), given)
    random.Random(1).shuffle(order := list(range(60)))
    vectors = make()
    for first in range(0, 60, size):
        own = order[first : first + size]
        for i, found in zip(own, of_each(vectors, [given[i] for i in own]), strict=True):
            np.testing.assert_array_equal(found, expected[i])


def test_each_word_is_computed_once(make, monkeypatch):
    vectors, asked = make(), []
    for own in vectors._inputs:
        array = own.array
        monkeypatch.setattr(own, "array", lambda words, f=array: asked.append(words) or f(words))
    given = sentences(40)
    for batch in (given[:20], given[10:30], given):
        vectors(Words(batch))
    inputs = len(vectors._inputs)
    once = [word for words in asked[::inputs] for word in words]
    assert sorted(once) == sorted({word for one in given for word in one})


def words_of(batch):
    return {word for own in batch for word in own}


@pytest.mark.parametrize("limits", [{"most_bytes": 2000}, {"most_characters": 200}])
def test_what_is_kept_is_bounded(make, limits):
    given = sentences(300)
    expected = of_each(make(), given)
    vectors = make(**limits)
    for first in range(0, 300, 5):
        batch = given[first : first + 5]
        for found, own in zip(of_each(vectors, batch), expected[first:], strict=False):
            np.testing.assert_array_equal(found, own)
        # Those of a batch are kept in any case.
        kept, own = vectors._rows.keys(), words_of(batch)
        assert own <= kept
        if kept != own:
            assert len(kept) <= limits.get("most_bytes", 10**9) // (4 * found.shape[1])
            assert sum(map(len, kept)) <= limits.get("most_characters", 10**9)
    assert len(words_of(given)) > 5 * len(vectors._rows)


def test_several_threads(make):
    given = sentences(200)
    expected = of_each(make(), given)
    vectors, wrong = make(most_bytes=4000), []

    def work(seed):
        order = random.Random(seed).sample(range(200), 200)
        for i in order:
            (found,) = of_each(vectors, [given[i]])
            if not np.array_equal(found, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
