import math

import pytest
from allennlp.common.testing import run_distributed_test

from structkd_allennlp.training.perplexity import MultilingualPerplexity


def test_by_language_and_over_all():
    metric = MultilingualPerplexity()
    assert metric.get_metric() == {}
    metric([2.0, 3.0, 0.0], [2, 1, 0], ["en", "de", "fr"])
    metric([4.0], [4], ["de"])
    found = metric.get_metric(reset=True)
    assert found.keys() == {"perplexity", "perplexity/de", "perplexity/en", "perplexity/macro"}
    assert found["perplexity/en"] == pytest.approx(math.exp(2 / 2))
    assert found["perplexity/de"] == pytest.approx(math.exp(7 / 5))
    assert found["perplexity"] == pytest.approx(math.exp(9 / 7))
    assert found["perplexity/macro"] == pytest.approx((math.exp(1) + math.exp(1.4)) / 2)
    assert metric.get_metric() == {}


def test_a_hopeless_model():
    metric = MultilingualPerplexity()
    metric([1e6], [1], [None])
    assert metric.get_metric()["perplexity/und"] == math.inf


def _each_counts_its_own(global_rank, world_size, gpu_id):
    metric = MultilingualPerplexity()
    metric([float(global_rank), 1.0], [1, 2], [f"x{global_rank}", "en"])
    found = metric.get_metric()
    assert found["perplexity/en"] == pytest.approx(math.exp(0.5))
    assert found["perplexity"] == pytest.approx(math.exp(3 / 6))
    assert {"perplexity/x0", "perplexity/x1"} < found.keys()


def test_workers_are_added_up():
    run_distributed_test([-1, -1], _each_counts_its_own)
