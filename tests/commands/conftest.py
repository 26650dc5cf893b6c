"""Commands run everywhere: one server and a six-node cluster, by the synchronous and the asyncio driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.sync import SyncDriver

from .together import tasks_of

PLACES = [
    pytest.param(("single", "sync"), id="single-sync"),
    pytest.param(("single", "aio"), id="single-aio"),
    pytest.param(("cluster", "sync"), id="cluster-sync"),
    pytest.param(("cluster", "aio"), id="cluster-aio"),
]


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Runs a command and gives its value."""
    place, driver = request.param
    url = request.getfixturevalue("valkey" if place == "single" else "cluster").url
    if driver == "sync":
        broker = Broker(SyncDriver(url))
        yield broker.run
        broker.close()
    else:
        with asyncio.Runner() as runner:
            async_broker = AsyncBroker(AsyncDriver(url))
            yield lambda command: runner.run(async_broker.run(command))
            runner.run(async_broker.close())


@pytest.fixture(params=["single", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Where an app finds its broker."""
    return str(request.getfixturevalue("valkey" if request.param == "single" else "cluster").url)


@pytest.fixture
def noop(url: str, queue: str) -> Iterator[Any]:
    """The task of an app on it."""
    app, task = tasks_of(url, queue)
    yield task
    app.close()
