from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.inspector.doctor import healing
from tests.commands.test_sweep import Sweep
from tests.inspector.stored import Stored
from tests.servers import Server, start_server


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    """Writes tasks into a queue of the test's own."""
    return Stored(broker, raw, queue)


@pytest.fixture
def swept(broker: Broker, queue: str) -> Sweep:
    """The same queue, to be swept."""
    return Sweep(broker.run, queue)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, about which a doctor has nothing to say."""
    server = start_server(tmp_path, "--appendonly", "yes")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def looks_twice_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be just being taken is looked at again after tenths of a second: in these tests nobody takes anything."""
    monkeypatch.setattr(healing, "SECOND_LOOK", 0.2)
