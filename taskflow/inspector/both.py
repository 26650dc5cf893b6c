"""One code for threads and for coroutines: the inspector is written as coroutines, and asks either broker through one interface.

In a thread nothing of it ever waits, since each question is answered before it is awaited: `complete` runs such a coroutine to
its end as if it were a function. Nobody writes, or mends, anything twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from ..broker.aio import AsyncBroker
from ..broker.command import TIMEOUT, Command, Plain
from ..broker.sync import Broker
from ..connection.steps import Request
from ..connection.topology import Address, Topology
from ..connection.url import BrokerURL

T = TypeVar("T")


class AnyBroker(Protocol):
    """What the inspector asks."""

    @property
    def topology(self) -> Topology:
        """Who owns which slot, as far as known."""

    @property
    def url(self) -> BrokerURL:
        """The broker's URL."""

    async def run(self, command: Command[T] | Plain[T], timeout: float = TIMEOUT) -> T:
        """Run one command; raises as `Broker.run`."""

    async def run_many(self, commands: Sequence[Request], timeout: float = TIMEOUT) -> list[Any]:
        """Run commands, one pipeline per node: for each its value, or its `BrokerError` in place."""

    async def masters(self) -> list[Address]:
        """The masters of the cluster, or the one server."""

    async def pause(self, seconds: float) -> None:
        """Wait."""


class ThreadBroker:
    """The broker of threads. Nothing here ever waits for an event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def topology(self) -> Topology:
        """Who owns which slot, as far as known."""
        return self._broker.driver.topology

    @property
    def url(self) -> BrokerURL:
        """The broker's URL."""
        return self._broker.driver.url

    async def run(self, command: Command[T] | Plain[T], timeout: float = TIMEOUT) -> T:
        """Run one command."""
        return self._broker.run(command, timeout)

    async def run_many(self, commands: Sequence[Request], timeout: float = TIMEOUT) -> list[Any]:
        """Run commands."""
        return self._broker.run_many(commands, timeout)

    async def masters(self) -> list[Address]:
        """The masters of the cluster, or the one server."""
        return self._broker.driver.masters(TIMEOUT)

    async def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class LoopBroker:
    """The broker of an event loop.

    Args:
        broker: it.
        topology: what its driver, once open, knows.
    """

    def __init__(self, broker: AsyncBroker, topology: Topology) -> None:
        self._broker = broker
        self.topology = topology

    @property
    def url(self) -> BrokerURL:
        """The broker's URL."""
        return self._broker.driver.url

    async def run(self, command: Command[T] | Plain[T], timeout: float = TIMEOUT) -> T:
        """Run one command."""
        return await self._broker.run(command, timeout)

    async def run_many(self, commands: Sequence[Request], timeout: float = TIMEOUT) -> list[Any]:
        """Run commands."""
        return await self._broker.run_many(commands, timeout)

    async def masters(self) -> list[Address]:
        """The masters of the cluster, or the one server."""
        return await self._broker.driver.masters(TIMEOUT)

    async def pause(self, seconds: float) -> None:
        """Let others run meanwhile."""
        await asyncio.sleep(seconds)
