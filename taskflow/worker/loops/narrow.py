"""A broker that many loops share: so many of their commands are under way to one node at once.

Each command that is under way has a connection of its own. With a thousand queues five thousand loops begin at the same moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from ...broker.aio import AsyncBroker
from ...broker.command import TIMEOUT, Command, Plain
from ...connection.aio import AsyncDriver
from ...connection.topology import Address
from ...errors import BrokerUnavailable

T = TypeVar("T")

AT_ONCE = 16
"""Commands under way to one node. More would be no faster: the node does one after the other."""


class NarrowBroker(AsyncBroker):
    """As `AsyncBroker`; `run` waits its turn, within its timeout. A node that does not answer keeps only its own queues waiting.

    Args:
        driver: what carries the commands.
        at_once: how many may be under way to one node.
    """

    def __init__(self, driver: AsyncDriver, at_once: int = AT_ONCE) -> None:
        super().__init__(driver)
        self._at_once = at_once
        self._gates: dict[Address | None, asyncio.Semaphore] = {}

    async def run(
        self,
        command: Command[T] | Plain[T],
        timeout: float = TIMEOUT,
        meanwhile: Callable[[], None] | None = None,
    ) -> T:
        """Run one command; raises as `AsyncBroker.run`."""
        node = command.node or (None if command.slot is None else self.driver.owner(command.slot))
        gate = self._gates.get(node)
        if gate is None:
            gate = self._gates[node] = asyncio.Semaphore(self._at_once)
        if gate.locked():
            started = time.monotonic()
            try:
                await asyncio.wait_for(gate.acquire(), timeout)
            except TimeoutError:
                where = f"{node[0]}:{node[1]}" if node else "the broker"
                raise BrokerUnavailable(
                    f"no answer from {where} in time: commands before this one wait for it"
                ) from None
            timeout = max(timeout - (time.monotonic() - started), 0.1)
        else:
            await gate.acquire()
        try:
            return await super().run(command, timeout, meanwhile)
        finally:
            gate.release()
