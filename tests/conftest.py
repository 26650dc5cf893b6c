"""What all tests share: real servers, one per xdist worker, and queues that nobody else uses."""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from taskflow import embedded
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.tasks import registry
from taskflow.testing.keyspace import check_queue
from tests.clusters import notice_soon
from tests.leaks import check
from tests.postgres import Postgres, running
from tests.servers import Server, start_server

_numbers = itertools.count(1)
_running: list[Server] = []


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin: a hook in this file would not be told of fixtures of the session."""
    config.pluginmanager.register(check)
    # A shell lets what it starts in the background ignore SIGINT, and so would every process that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


HARNESS = Path(__file__).parent / "harness"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of the tests are collected where they are asked for: they say something new only when a test's tool was changed."""
    asked = any(
        Path(argument.partition("::")[0]).resolve().is_relative_to(HARNESS) for argument in config.args
    )
    return True if collection_path == HARNESS and not asked else None


LONG = ("chaos", "contrib", "faults", "lifecycle", "interop", "cli", "doctor", "connection", "properties")
"""Folders with tests that take ten seconds and more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, in whatever order they were: one that comes last keeps one core busy while the other has nothing."""
    long = {Path(__file__).parent / folder for folder in LONG}
    items.sort(key=lambda item: long.isdisjoint(item.path.parents))


def pytest_collection_finish() -> None:
    """A `shared_task` of a module would be in each app of all other tests; one that a test declares is forgotten with it."""
    assert not registry.shared, f"declared where a module of tests is imported: {registry.shared}"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for this xdist worker, on a free loopback port and without a password.

    With `TASKFLOW_TEST_ACL=1` everything goes through users that have the rights of `taskflow acl` and no more:
    in tests/lifecycle a producer and a worker, elsewhere one that has the rights of all roles together.
    """
    guarded = os.environ.get("TASKFLOW_TEST_ACL") == "1"
    server = start_server(tmp_path_factory.mktemp("valkey"), guarded=guarded)
    _running.append(server)
    try:
        yield server
    finally:
        _running.remove(server)
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for this xdist worker, started when a test first needs it: `postgres.create()` makes a database."""
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the users of `taskflow acl`; without a login everything is still allowed."""
    server = start_server(tmp_path_factory.mktemp("guarded"), guarded=True)
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for this test alone, which may stop it with SIGSTOP and leave it so."""
    server = start_server(tmp_path)
    yield server
    os.kill(server.process.pid, signal.SIGCONT)
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def _empty_server() -> None:
    """What the tests of one module have left is nothing for those of another, which may list all queues there are."""
    for server in _running:
        with redis.Redis(host="127.0.0.1", port=server.port) as client:
            client.flushall()


@pytest.fixture(autouse=True)
def _shared_tasks_are_forgotten() -> Iterator[None]:
    """What a test declares by `shared_task` is in no app of another test."""
    shared = list(registry.shared)
    yield
    registry.shared[:] = shared


@pytest.fixture(autouse=True)
def _consistent(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test, its queue keeps every invariant of the storage, unless it is marked as one that breaks them."""
    used = {"valkey", "queue"} <= set(request.fixturenames)
    server = request.getfixturevalue("valkey") if used else None
    queue = request.getfixturevalue("queue") if used else ""
    yield
    if server is None or server.process.poll() is not None:
        return
    with redis.Redis(host="127.0.0.1", port=server.port) as client:
        if "broken_keys" in request.keywords:
            # Nobody else shall meet them.
            if left := list(client.scan_iter(f"asynq:{{{queue}}}*", count=10_000)):
                client.delete(*left)
            client.srem("asynq:queues", queue)
            return
    broker = Broker(SyncDriver(server.url))
    try:
        wrong = check_queue(broker, queue)
    finally:
        broker.close()
    if wrong:
        pytest.fail("the queue is not what it should be: " + "; ".join(wrong))


@dataclass(frozen=True)
class Cluster:
    """A running six-node cluster without a password: three masters, three replicas."""

    config: embedded.EmbeddedConfig
    url: str

    @property
    def nodes(self) -> Sequence[embedded.NodeStatus]:
        return embedded.status(self.config).nodes

    @property
    def address(self) -> str:
        """As Go's peer takes it."""
        return "cluster:" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def master_of(self, queue: str) -> embedded.NodeStatus:
        """The node that holds a queue now."""
        slot = queue_keys(queue).slot
        for node in self.nodes:
            for part in node.slots.split():
                first, _, last = part.partition("-")
                if node.role == "master" and node.alive and int(first) <= slot <= int(last or first):
                    return node
        raise AssertionError(f"no living master holds key slot {slot}")

    def heal(self) -> None:
        """Start dead nodes again and wait until all six serve."""
        embedded.ensure(self.config)
        notice_soon(self.config, self.url)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real six-node cluster for this xdist worker. Its nodes soon notice when one of them is gone."""
    directory = tmp_path_factory.mktemp("cluster")
    config = embedded.parse_url(f"embedded://{directory}?nodes=6&password=no")
    try:
        cluster = Cluster(config, embedded.ensure(config))
        notice_soon(config, cluster.url)
        yield cluster
    finally:
        embedded.stop(config)


@pytest.fixture
def queue() -> str:
    """A queue name of the test's own."""
    return f"q{os.getpid()}-{next(_numbers)}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def broker(valkey: Server) -> Iterator[Broker]:
    """The synchronous broker on the one server."""
    broker = Broker(SyncDriver(valkey.url))
    yield broker
    broker.close()


@pytest.fixture
def raw(valkey: Server) -> Iterator[redis.Redis]:
    """redis-py's own client on the one server, to look behind our back."""
    client = redis.Redis(host="127.0.0.1", port=valkey.port, decode_responses=False)
    yield client
    client.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current directory: where a user's app module lives."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
