"""The simulated cluster of benchmarks/simulation.py, against what is known of closed networks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Failures, Stage, simulate

seconds = st.floats(0.01, 10)
resources = st.sampled_from([None, "driver", "network"])
rows_of_stages = st.lists(st.builds(Stage, seconds, resources, st.none()), min_size=1, max_size=4)


@given(rows_of_stages, st.integers(1, 20))
def test_one_worker_does_one_thing_after_another(stages, parts):
    outcome = simulate(stages, 1, parts)
    assert outcome.seconds == pytest.approx(parts * sum(stage.seconds for stage in stages))
    assert outcome.busy["workers"] == pytest.approx(1)


@given(rows_of_stages, st.integers(1, 30))
@settings(deadline=None)
def test_asymptotic_bounds(stages, workers):
    """Of closed networks (Denning and Buzen, 1978), where no time varies."""
    parts = 20 * workers
    outcome = simulate(stages, workers, parts)
    demand = {
        name: sum(stage.seconds for stage in stages if stage.resource == name)
        for name in {stage.resource for stage in stages} - {None}
    }
    alone = sum(stage.seconds for stage in stages)
    bound = max([alone / workers, *demand.values()])
    assert outcome.seconds >= parts * bound * (1 - 1e-9)
    # With first come, first served no worker waits for longer than all others hold a resource.
    slowest = alone + (workers - 1) * sum(demand.values())
    assert outcome.seconds <= parts * slowest / workers + 1e-6
    for name, own in demand.items():
        assert outcome.busy[name] == pytest.approx(parts * own / outcome.seconds)


def test_many_workers_are_as_fast_as_what_they_share():
    stages = [Stage(0.01, "driver"), Stage(1.0), Stage(0.02, "network")]
    few = simulate(stages, 10, 1000, variation=0.3)
    assert few.steady == pytest.approx(10 / 1.03, rel=0.05)
    many = simulate(stages, 1000, 20_000, variation=0.3)
    assert many.steady == pytest.approx(50, rel=0.01)
    assert many.busy["network"] > 0.95


def test_what_each_few_workers_share():
    """Ten drivers are ten times as fast as one, as long as nothing else is shared."""
    stages = [Stage(1.0, "driver", 10), Stage(2.0)]
    ten, one = simulate(stages, 100, 10_000), simulate(stages, 10, 1_000)
    assert ten.steady == pytest.approx(10 * one.steady)
    assert ten.busy == pytest.approx(one.busy)


def test_failures_cost_what_they_say():
    """Of parts of a second each, with a mean of 100 seconds between failures and 10 to restart."""
    outcome = simulate([Stage(1.0)], 50, 50_000, failures=Failures(100, 10))
    assert outcome.failures == pytest.approx(outcome.seconds * 50 / 110, rel=0.1)
    # A part that is interrupted has lost half of its time on average; it is noticed at its end.
    assert outcome.steady == pytest.approx(50 * 100 / 110, rel=0.03)
