"""The tests of a suite's differences: against brute force, scipy's own paired form and hand."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from structkd_allennlp.suite.significance import RESAMPLES, paired_bootstrap, paired_t_test
from structkd_allennlp.training.metrics import score


def spans(seed, chance, sentences=120, gold_seed=0):
    """Counts of a tagger that finds each span with this chance."""
    gold = np.random.default_rng(gold_seed).integers(0, 5, sentences)
    rng = np.random.default_rng(seed)
    correct = rng.binomial(gold, chance)
    return np.stack([correct, correct + rng.binomial(2, 1 - chance, sentences), gold], 1)


def test_identical_systems():
    same = [spans(1, 0.7), spans(2, 0.7)]
    mean, by_seed = paired_bootstrap(same, same)
    assert [tuple(test) for test in (mean, *by_seed)] == [(0, 0, 0, 1)] * 3


def test_a_clearly_better_system():
    mean, by_seed = paired_bootstrap([spans(1, 0.9)], [spans(2, 0.6)])
    assert mean == by_seed[0]
    better, worse = (score(spans(*x).sum(0)) for x in ((1, 0.9), (2, 0.6)))
    assert mean.difference == pytest.approx(100 * (better - worse))
    assert 0 < mean.low < mean.difference < mean.high
    # No resample is on the other side; only the measured one counts.
    assert mean.p_value == 2 / (RESAMPLES + 1)


def test_a_worse_system_is_a_better_one_mirrored():
    better, worse = [spans(1, 0.75)], [spans(2, 0.7)]
    one, other = paired_bootstrap(better, worse).mean, paired_bootstrap(worse, better).mean
    assert other == pytest.approx((-one.difference, -one.high, -one.low, one.p_value))


def test_p_value_by_enumeration():
    # Resamples of two sentences: both twice the first, one of each in two orders, twice the second.
    # The difference is 100, 50, 50 and 0, so a quarter of them is not above 0.
    row, baseline = np.array([[1, 1], [0, 1]]), np.array([[0, 1], [0, 1]])
    mean = paired_bootstrap([row], [baseline]).mean
    assert mean.difference == 50
    assert (mean.low, mean.high) == (0, 100)
    assert mean.p_value == pytest.approx(2 * 0.25, abs=0.06)


def test_it_is_the_paired_bootstrap_of_scipy():
    ours, theirs = [spans(1, 0.72), spans(2, 0.74)], [spans(3, 0.7), spans(4, 0.7)]

    def f1(correct, predicted, gold, axis):
        return 200 * correct.sum(axis) / (predicted.sum(axis) + gold.sum(axis))

    def statistic(a, b, c, d, e, f, g, h, i, j, k, m, axis):
        one, two = f1(a, b, c, axis) - f1(g, h, i, axis), f1(d, e, f, axis) - f1(j, k, m, axis)
        return (one + two) / 2

    expected = stats.bootstrap(
        [column for counts in (*ours, *theirs) for column in counts.T],
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    mean = paired_bootstrap(ours, theirs).mean
    assert (mean.low, mean.high) == pytest.approx(tuple(expected.confidence_interval))
    assert 0.001 < mean.p_value < 1
    below = (expected.bootstrap_distribution <= 0).sum()
    assert mean.p_value == pytest.approx(2 * (below + 1) / (RESAMPLES + 1))


def test_seeds_that_contradict_each_other_say_nothing_together():
    good, bad = spans(1, 0.9), spans(2, 0.6)
    mean, by_seed = paired_bootstrap([good, bad], [bad, good])
    assert mean.difference == pytest.approx(0)
    assert mean.p_value == 1
    assert [test.p_value < 0.01 for test in by_seed] == [True, True]
    assert by_seed[0].difference == pytest.approx(-by_seed[1].difference)


def test_resamples_without_any_span():
    rare = np.array([[1, 1, 1]] + [[0, 0, 0]] * 20)
    missed = np.array([[0, 0, 1]] + [[0, 0, 0]] * 20)
    mean = paired_bootstrap([rare], [missed]).mean
    assert np.isfinite(mean).all()
    assert mean.difference == 100
    assert mean.p_value > 0.5


def test_t_test_by_hand():
    # The differences are 1, 2 and 3. With 2 degrees of freedom p has a closed form.
    t = 2 * np.sqrt(3)
    assert paired_t_test([11, 22, 33], [10, 20, 30]) == pytest.approx(1 - t / np.sqrt(2 + t * t))


def test_t_test_of_identical_scores_and_of_a_single_seed():
    assert paired_t_test([80.0, 81.0], [80.0, 81.0]) == 1
    assert paired_t_test([80.0], [70.0]) is None
