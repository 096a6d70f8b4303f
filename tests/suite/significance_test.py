"""The statistics of a suite's tests: against scipy and by hand, and how often they err."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from structkd_allennlp.suite.significance import bootstrap_p_value, holm, random_effects_test


def test_bootstrap_p_value_by_hand():
    # Of 9 resamples and the measured difference, two are not above 0.
    assert bootstrap_p_value([1, 2, 3, 4, 5, 6, 7, 8, -1]) == pytest.approx(2 * 2 / 10)
    assert bootstrap_p_value([-1, -2, -3, -4, -5, -6, -7, -8, 1]) == pytest.approx(2 * 2 / 10)
    # A difference of 0 counts on both sides, and p is at most 1.
    assert bootstrap_p_value([0, 1, -1, 0]) == 1
    assert bootstrap_p_value([0, 0, 0]) == 1
    # One sentence cannot be resampled.
    assert bootstrap_p_value([2.0, 2.0, 2.0]) is None


def test_bootstrap_p_value_is_about_that_of_a_normal_test():
    resampled = np.random.default_rng(0).normal(2.0, 1.0, 20_000)
    assert bootstrap_p_value(resampled) == pytest.approx(2 * stats.norm.sf(2), rel=0.1)


def test_without_noise_of_sentences_it_is_the_t_test():
    by_seed = [1.0, 2.0, 4.0]
    test = random_effects_test(by_seed, [0.0] * 10)
    assert random_effects_test(by_seed) == test
    assert test.p_value == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
    interval = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert (test.low, test.high) == pytest.approx(tuple(interval))


def test_without_noise_of_seeds_it_is_a_normal_test():
    resampled = np.random.default_rng(0).normal(1.0, 0.5, 5000)
    test = random_effects_test([1.0, 1.0, 1.0], resampled)
    deviation = resampled.std(ddof=1)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(1 / deviation))
    assert test.high - 1 == pytest.approx(1.959964 * deviation)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sentences", [0.0, 0.3, 1.0])
def test_it_seldom_finds_what_is_not_there(seeds, sentences):
    """With noise of these sizes and no difference, p is below 0.05 in about 5 of 100 studies."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(1000):
        by_seed = rng.normal(0, 1, seeds) + rng.normal(0, sentences)
        resampled = by_seed.mean() + sentences * rng.normal(0, 1, 100)
        p_values.append(random_effects_test(by_seed, resampled).p_value)
    assert 0.03 < np.mean(np.less(p_values, 0.05)) < 0.08


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_rejects_what_the_procedure_rejects():
    """From the smallest p on, as long as each is below the level by the number of those left."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        p_values = rng.uniform(0, 0.05, 6)
        rejected = []
        for rank, i in enumerate(np.argsort(p_values)):
            if p_values[i] > 0.05 / (6 - rank):
                break
            rejected.append(i)
        assert [i for i in range(6) if holm(p_values)[i] <= 0.05] == sorted(rejected)
