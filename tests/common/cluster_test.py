"""What `--executor ray` says where there is no cluster. The rest is in tests marked `cluster`."""

import socket
import sys

import pytest

from structkd_allennlp.common.cluster import cluster


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"requirements-cluster\.txt"), cluster():
        pass


@pytest.mark.parametrize("address", ["head", "head:port", ":", "ray"])
def test_a_wrong_address(address):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match="HOST:PORT"), cluster(address):
        pass


def test_nobody_answers_at_once():
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"at {address}.*ray start --head"), cluster(address):
            pass
