"""What all tests share: real servers, one per xdist worker, and queues that nobody else uses."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from tests.servers import Server, start_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for this xdist worker, on a free loopback port and without a password."""
    server = start_server(tmp_path_factory.mktemp("valkey"))
    try:
        yield server
    finally:
        server.stop()


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
