"""What is changed for some work is as it was after it."""

import gc

import pytest

from structkd_allennlp.common.garbage import few_collections


def test_only_meanwhile():
    before = gc.get_threshold()

    @few_collections()
    def work():
        found.append(gc.get_threshold()[0])
        raise ValueError("at fault")

    found = []
    for _ in range(2):
        with pytest.raises(ValueError, match="at fault"):
            work()
    assert found == [100_000] * 2
    assert gc.get_threshold() == before
