"""How long hypothesis looks: the profile of CI, or `TASKFLOW_PROPERTIES=deep`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from tests.conftest import Cluster
from tests.properties.place import Place, fresh_name
from tests.servers import Server, start_server

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

PROFILES = {
    "ci": settings(
        max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=_SLOW, print_blob=True
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


Search = Callable[..., None]


@pytest.fixture
def search(request: pytest.FixtureRequest, profile: settings) -> Search:
    """Looks for steps of a machine that go wrong: `search(lambda: Queue(place))`.

    When there are some, hypothesis looks for a shorter example, for minutes and without a word: what has failed is said before.
    """

    def say(error: Exception) -> None:
        lasting = (
            "The next run begins with it."
            if profile.database is not None
            else "The report says how to repeat it."
        )
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(
                f"\n{request.node.nodeid} has failed ({type(error).__name__}: {str(error)[:300]}). Hypothesis makes the example "
                f"shorter now, for up to five minutes, and reports it then. {lasting}",
                file=sys.stderr,
                flush=True,
            )

    def look(make: Callable[[], RuleBasedStateMachine], more: settings = profile) -> None:
        run_state_machine_as_test(_saying(make, say), settings=more)

    return look


def _saying(
    make: Callable[[], RuleBasedStateMachine], say: Callable[[Exception], None]
) -> Callable[[], RuleBasedStateMachine]:
    """Machines of which the first that fails is told of."""
    said = False

    @wraps(make)  # by its text the example is found again in the next run
    def made() -> RuleBasedStateMachine:
        machine = make()
        teardown = machine.teardown

        def told() -> None:
            nonlocal said
            error = sys.exc_info()[1]
            if not said and isinstance(error, Exception) and not isinstance(error, HypothesisException):
                said = True
                say(error)
            teardown()

        machine.teardown = told  # type: ignore[method-assign]
        return machine

    return made


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
