"""The broker for one event loop: runs commands and gives their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..connection.aio import AsyncDriver
from ..connection.steps import Request, value_or_raise
from .command import TIMEOUT, Command, Plain

T = TypeVar("T")


class AsyncBroker:
    """As `Broker`, with await."""

    def __init__(self, driver: AsyncDriver) -> None:
        self.driver = driver

    async def run(
        self,
        command: Command[T] | Plain[T],
        timeout: float = TIMEOUT,
        meanwhile: Callable[[], None] | None = None,
    ) -> T:
        """Run one command; raises as `Broker.run`. `meanwhile` is called once it is sent."""
        value: T = value_or_raise((await self.driver.execute((command,), timeout, meanwhile))[0])
        return value

    async def run_many(
        self,
        commands: Sequence[Request],
        timeout: float = TIMEOUT,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Any]:
        """Run commands, one pipeline per node, as `Broker.run_many`."""
        return await self.driver.execute(commands, timeout, meanwhile)

    async def close(self) -> None:
        """Close idle connections."""
        await self.driver.close()
