"""A Ray cluster of two nodes on this machine, with a CPU each."""

import os
import signal
import time

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 200_000_000}


class Nodes:
    """
    # Attributes

    address : `str`
        Of the head, which works too.
    """

    def __init__(self):
        from ray.cluster_utils import Cluster

        head = {**NODE, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address

    def start(self):
        """Now there are two."""
        while not self._cluster.worker_nodes:
            self._cluster.add_node(**NODE)

    @property
    def raylet(self):
        """The id of the second's process that all others there depend on."""
        (node,) = self._cluster.worker_nodes
        return node.all_processes["raylet"][0].process.pid

    def kill(self):
        """As if the second lost its power."""
        (node,) = self._cluster.worker_nodes
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_raylet(self):
        """As if it had crashed. The others there see that when nothing is left of it."""
        os.kill(self.raylet, signal.SIGKILL)
        (node,) = self._cluster.worker_nodes
        node.all_processes["raylet"][0].process.wait()

    def wait(self, number):
        """Until so many are alive, whoever has started them."""
        while sum(x["Alive"] for x in self._cluster.global_state.node_table()) != number:
            time.sleep(0.1)

    def shutdown(self):
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def _nodes():
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Nodes()
    yield nodes
    nodes.shutdown()


@pytest.fixture
def nodes(_nodes):
    """Two of them, whatever the test before has done."""
    _nodes.start()
    return _nodes
