"""Scores as bytes: how little of a distribution is lost, and that nothing wrong comes back."""

import functools

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from hypothesis import example, given

from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.stored_scores import Encoding, Record, chain_of
from structkd_allennlp.distillation.target_store import Head, TargetStore
from structkd_allennlp.modules.tagger_chain import Potentials

ADDRESS = b"of twenty bytes long"
ENCODINGS = [Encoding(precision, top) for precision in ("float32", "float16") for top in (None, 1)]
ENCODINGS += [Encoding("float32", 4), Encoding("float16", 4)]
SCORES = arrays.arrays(
    numpy.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12)),
    elements=st.floats(-40, 40, width=32),
)


def softmax(scores):
    scores = numpy.exp(scores.astype(float) - scores.max(1, keepdims=True))
    return scores / scores.sum(1, keepdims=True)


def there_and_back(encoding, scores):
    record = encoding.record(ADDRESS, scores)
    found = Record.at(ADDRESS, memoryview(b"before" + record + b"after"), 6)
    assert len(found.packed) == len(record)
    assert found.serves(encoding)
    back = found.scores()
    assert back.shape == scores.shape
    assert back.dtype == numpy.float32
    return back


@given(SCORES, st.sampled_from(ENCODINGS))
@example(numpy.array([[1, -1, 0, 0, 0, 2.7e-19, 0]], numpy.float32), Encoding("float32", 4))
def test_the_best_labels_keep_their_probability_and_the_rest_theirs_together(scores, encoding):
    back = softmax(there_and_back(encoding, scores))
    top = encoding.top or scores.shape[1]
    # Relative to the highest, as they are stored: scores may differ by less than that can hold.
    relative = scores - scores.max(1, keepdims=True)
    best = numpy.argsort(-relative, axis=1, kind="stable")[:, :top]
    exact = numpy.take_along_axis(softmax(scores), best, axis=1)
    kept = numpy.take_along_axis(back, best, axis=1)
    # float16 rounds a score of 40 by 0.016.
    tolerance = 1e-5 if encoding.precision == "float32" else 2e-2
    numpy.testing.assert_allclose(kept, exact, rtol=tolerance, atol=1e-6)
    numpy.testing.assert_allclose(back.sum(1) - kept.sum(1), 1 - exact.sum(1), atol=tolerance)


@given(SCORES, st.data())
def test_no_closer_distribution_has_these_scores(scores, data):
    """Another score of the rest is farther away, by the divergence at each word."""
    encoding = Encoding("float32", 2)
    back, exact = there_and_back(encoding, scores), softmax(scores)
    rest = numpy.argsort(-scores, axis=1, kind="stable")[:, 2:]
    shifted = back.copy()
    shift = data.draw(st.floats(-3, 3))
    numpy.put_along_axis(shifted, rest, numpy.take_along_axis(back, rest, 1) + shift, 1)

    def divergence(other):
        return (exact * (numpy.log(exact) - numpy.log(softmax(other)))).sum()

    assert divergence(back) <= divergence(shifted) + 1e-5


@pytest.mark.parametrize("seed", range(5))
def test_with_transitions_one_word_alone_changes_no_probability_of_its_best_labels(seed):
    """
    The score of the rest is exact if no other word is changed, which is what is asked for of it.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = functools.partial(torch.randn, generator=generator)
    potentials = Potentials(3 * draw(7, 7), draw(7), draw(7))
    potentials.transitions[0, 3] = potentials.start[2] = -torch.inf
    scores = 3 * draw(6, 7).numpy()
    exact = chain_of(potentials, [scores])
    record = Encoding("float32", 3).record(ADDRESS, scores, exact.log_marginals[0].numpy())
    back = Record.at(ADDRESS, memoryview(record), 0).scores()
    for word in range(6):
        other = scores.copy()
        other[word] = back[word]
        found = chain_of(potentials, [other]).marginals[0, word]
        best = exact.marginals[0, word].topk(3).indices
        torch.testing.assert_close(found[best], exact.marginals[0, word][best])


def test_a_store_ranks_by_its_teachers_transitions(tmp_path):
    sentence = Sentence(["Ada", "met"], "en")
    potentials = Potentials.zeros(7)
    # The label that the emissions prefer cannot begin.
    potentials.start[0] = -torch.inf
    head = Head([f"L{i}" for i in range(7)], None, potentials)
    store = TargetStore(str(tmp_path / "s"), "float16", 2)
    store.put_head("t", head)
    scores = numpy.arange(7, 0, -1).astype(numpy.float32).repeat(2).reshape(7, 2).T.copy()
    store.put("t", [(sentence, scores)])
    found = store.get("t", sentence, 7)
    assert found[0, 1] - found[0, 2] == pytest.approx(1, abs=1e-2)
    assert found[1, 0] - found[1, 1] == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_impossible_labels_stay_impossible_and_no_other_becomes_so(encoding):
    scores = numpy.full((3, 17), -1e6, numpy.float32)
    scores[:, 3], scores[1, 4:7] = 5, 2
    # Of the rest: none, all, some.
    scores[1, 7:] = scores[1, :3] = -numpy.inf
    for last in (0, 1):
        scores[2, last:2] = -numpy.inf
        back = there_and_back(encoding, scores)
        if encoding.top != 1:
            assert (numpy.isneginf(back) == numpy.isneginf(scores)).all()
        assert (back.argmax(1) == 3).all()


def test_many_labels():
    scores = numpy.random.default_rng(0).normal(size=(2, 300)).astype(numpy.float32)
    back = there_and_back(Encoding("float16", 290 // 4), scores)
    assert (back.argmax(1) == scores.argmax(1)).all()


@given(SCORES, st.sampled_from(ENCODINGS), st.data())
def test_a_record_that_differs_in_a_byte_is_none(scores, encoding, data):
    record = bytearray(encoding.record(ADDRESS, scores))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    assert Record.at(ADDRESS, memoryview(record), 0) is None
    record = encoding.record(ADDRESS, scores)
    assert Record.at(ADDRESS, memoryview(record)[:-1], 0) is None
    assert Record.at(b"of another sentence.", memoryview(record), 0) is None
    assert Record.at(ADDRESS, memoryview(record), 10**6) is None


def test_what_is_less_exact_counts_as_missing(tmp_path):
    scores = numpy.random.default_rng(0).normal(size=(3, 17)).astype(numpy.float32)
    sentence = Sentence(["Ada", "met", "Bob"], "en")
    exactness = {Encoding("float32"): (2, 3), Encoding("float16"): (1, 3)}
    exactness |= {Encoding("float32", 4): (2, 2), Encoding("float16", 2): (1, 1)}
    for number, (kept, has) in enumerate(exactness.items()):
        directory = str(tmp_path / str(number))
        TargetStore(directory, *kept).put("t", [(sentence, scores)])
        for wanted, asks in exactness.items():
            found = TargetStore(directory, *wanted).get("t", sentence, 17)
            assert (found is not None) == all(x >= y for x, y in zip(has, asks, strict=True))


@pytest.mark.parametrize(("top", "kept"), [(3, 3), (4, 0)])
def test_what_takes_less_space_whole_is_kept_whole(top, kept):
    scores = numpy.random.default_rng(0).normal(size=(3, 5)).astype(numpy.float32)
    record = Encoding("float16", top).record(ADDRESS, scores)
    assert Record.at(ADDRESS, memoryview(record), 0).top == kept


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"precision": "float64"}, r"\['float16', 'float32'\], not 'float64'"),
        ({"top": 0}, "top of a target store must be 1 or more"),
        ({"half_precision": True, "precision": "float32"}, "leave out"),
    ],
)
def test_parameters_that_there_are_not(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        TargetStore("s", **parameters)


def test_the_earlier_name_of_float16():
    assert TargetStore("s", half_precision=True).encoding == Encoding("float16")
    assert (
        TargetStore("s", precision="float16", half_precision=True).encoding.precision == "float16"
    )
    assert TargetStore("s").encoding == Encoding("float32")
