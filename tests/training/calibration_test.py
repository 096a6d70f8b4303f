"""Figures of probabilities, against naive loops and cases whose answer is known."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from structkd_allennlp.training.calibration import (
    brier_scores,
    calibration_error,
    equal_mass_bins,
    mean_of_all,
    risk_coverage_area,
    selective_score,
)


def error(confidences, correct, bins=10):
    sentence = np.arange(len(confidences))
    return calibration_error(confidences, correct, sentence, len(confidences), bins).value


def naive_error(confidences, correct, bins):
    """With a list for each bin, filled in the order of the confidences."""
    pairs = sorted(zip(confidences, correct, strict=True))
    n, filled = len(pairs), []
    for i, (confidence, right) in enumerate(pairs):
        if not i or confidence != pairs[i - 1][0]:
            # Equal ones stay together: the first of them starts a bin if any of them would.
            end = i + sum(c == confidence for c, _ in pairs)
            if not i or any(i <= math.ceil(n * b / bins) < end for b in range(1, bins)):
                filled.append([])
        filled[-1].append((confidence, right))
    return sum(
        len(one) / n * abs(sum(r for _, r in one) / len(one) - sum(c for c, _ in one) / len(one))
        for one in filled
    )


PREDICTIONS = st.lists(
    st.tuples(st.integers(0, 20).map(lambda x: x / 20), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=200, deadline=None)
@given(predictions=PREDICTIONS, bins=st.integers(1, 12), seed=st.integers(0, 9))
def test_calibration_error(predictions, bins, seed):
    confidences, correct = map(np.asarray, zip(*predictions, strict=True))
    expected = error(confidences, correct, bins)
    assert expected == pytest.approx(naive_error(*zip(*predictions, strict=True), bins))
    # In any order, and however they are divided into sentences.
    rng = np.random.default_rng(seed)
    order, sentence = rng.permutation(len(correct)), rng.integers(0, 3, len(correct))
    other = calibration_error(confidences[order], correct[order], sentence, 4, bins)
    assert other.value == pytest.approx(expected)


def test_a_calibrated_tagger():
    """Of those with a probability of 1/4 a quarter is right, and so on."""
    confidences = np.repeat([0.25, 0.5, 0.75, 1.0], 8)
    correct = np.concatenate([np.arange(8) < 8 * p for p in (0.25, 0.5, 0.75, 1.0)])
    for bins in (1, 2, 4, 10):
        assert error(confidences, correct, bins) == pytest.approx(0)
    assert error(confidences, ~correct) == pytest.approx((0.5 + 0 + 0.5 + 1) / 4)
    assert error([0.9] * 10, [True] * 6 + [False] * 4) == pytest.approx(0.3)
    # Right on average alone.
    assert error([0.4] * 50 + [0.6] * 50, [True] * 50 + [False] * 50, 1) == pytest.approx(0)
    assert error([0.4] * 50 + [0.6] * 50, [True] * 50 + [False] * 50, 2) == pytest.approx(0.6)
    assert math.isnan(error([], []))


@pytest.mark.parametrize("n", [1, 7, 10, 23, 100])
def test_bins_have_the_same_mass(n):
    numbers = equal_mass_bins(np.random.default_rng(n).permutation(n) / n)
    sizes = np.bincount(numbers)
    assert len(sizes) == min(n, 10)
    assert sizes.max() - sizes.min() <= 1
    assert set(equal_mass_bins([0.5] * n)) == {0}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 6))
def test_brier(seed, n, classes):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), n)
    outcomes = rng.integers(-1, classes, n)
    expected = [
        sum((p - (j == outcome)) ** 2 for j, p in enumerate(row)) + (outcome == -1)
        for row, outcome in zip(probabilities, outcomes, strict=True)
    ]
    assert brier_scores(probabilities, outcomes) == pytest.approx(expected)
    assert brier_scores([[1, 0], [0, 1]], [0, 0]).tolist() == [0, 2]


def naive_f1(counts):
    correct, predicted, gold = (sum(column) for column in zip(*counts, strict=True))
    return 2 * correct / (predicted + gold) if predicted + gold else 0.0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_selection(seed, n):
    rng = np.random.default_rng(seed)
    correct = rng.integers(0, 3, n)
    counts = np.stack([correct, correct + rng.integers(0, 2, n), correct + rng.integers(0, 2, n)])
    counts = counts.T.tolist()
    confidences = (-rng.integers(0, 6, n)).tolist()
    ranked = sorted(range(n), key=lambda i: (-confidences[i], i))
    for coverage in (1.0, 0.9, 0.8, 0.5):
        kept = ranked[: math.ceil(n * round(100 * coverage) / 100 - 1e-9)]
        expected = naive_f1([counts[i] for i in kept])
        assert selective_score(counts, confidences, coverage).value == pytest.approx(expected)
    risks = []
    for m in range(1, n + 1):
        kept = [counts[i] for i in ranked[:m]]
        risks.append(1 - naive_f1(kept) if any(any(x[1:]) for x in kept) else 0)
    assert risk_coverage_area(counts, confidences) == pytest.approx(sum(risks) / n)


def test_selection_of_accuracy():
    counts, confidences = [[1, 2], [3, 3], [0, 1], [2, 2]], [-2.0, -0.1, -9.0, -0.5]
    assert selective_score(counts, confidences, 0.5).value == 1
    assert selective_score(counts, confidences, 0.75).value == pytest.approx(6 / 7)
    assert selective_score(counts, confidences, 1.0).value == pytest.approx(6 / 8)
    assert risk_coverage_area(counts, confidences) == pytest.approx((1 / 7 + 2 / 8) / 4)
    assert math.isnan(risk_coverage_area(np.zeros((0, 2)), []))


def test_resamples():
    """A resample is a matrix product, and gives what the sentences written out give."""
    rng = np.random.default_rng(0)
    n = 20
    weights = rng.multinomial(n, np.full(n, 1 / n), 5)
    totals, counts = rng.random(n), rng.integers(0, 4, n)
    figure = mean_of_all(totals, counts)
    for row, value in zip(weights, figure.of(weights @ figure.parts), strict=True):
        drawn = np.repeat(np.arange(n), row)
        assert value == pytest.approx(totals[drawn].sum() / counts[drawn].sum())
    assert math.isnan(mean_of_all([], []).value)
    assert math.isnan(mean_of_all([0.0], [0]).value)

    sentence = np.repeat(np.arange(n), 3)
    confidences, correct = rng.random(3 * n), rng.random(3 * n) < 0.5
    bins = equal_mass_bins(confidences)
    figure = calibration_error(confidences, correct, sentence, n)
    for row, value in zip(weights, figure.of(weights @ figure.parts), strict=True):
        times = row[sentence]
        gaps = [(times * (correct - confidences) * (bins == b)).sum() for b in range(10)]
        assert value == pytest.approx(np.abs(gaps).sum() / times.sum())
