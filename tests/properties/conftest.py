"""How long hypothesis looks: the profile of CI, or `TASKFLOW_PROPERTIES=deep`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings

from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from tests.conftest import Cluster
from tests.properties.place import Place, fresh_name
from tests.servers import Server, start_server

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

PROFILES = {
    "ci": settings(
        max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=_SLOW, print_blob=True
    ),
    "deep": settings(
        max_examples=3000, stateful_step_count=80, deadline=None, suppress_health_check=_SLOW, print_blob=True
    ),
    "quick": settings(
        max_examples=10,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=_SLOW,
        phases=[Phase.generate],
    ),
}


@pytest.fixture(scope="session")
def profile() -> settings:
    """How much is tried."""
    return PROFILES[os.environ.get("TASKFLOW_PROPERTIES", "ci")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the properties' own: looking at everything that is stored should be quick."""
    server = start_server(tmp_path_factory.mktemp("properties"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def place(server: Server) -> Iterator[Place]:
    """A queue on one server."""
    broker = Broker(SyncDriver(server.url))
    with redis.Redis(port=server.port) as client:
        yield Place(broker, client, fresh_name())
    broker.close()


@pytest.fixture
def cluster_place(cluster: Cluster) -> Iterator[Place]:
    """A queue on a cluster."""
    broker = Broker(SyncDriver(cluster.url))
    name = fresh_name()
    slot = queue_keys(name).slot
    with redis.Redis(port=cluster.master_of(name).port) as client:
        assert client.cluster("KEYSLOT", queue_keys(name).pending) == slot
        yield Place(broker, client, name)
    broker.close()
