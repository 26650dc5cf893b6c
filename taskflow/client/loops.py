"""What the coroutines of each event loop enqueue with, and its end when the loop is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..broker.aio import AsyncBroker

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class LoopSide(Generic[C]):
    """What the coroutines of one event loop enqueue with: connections and, for those that come together, a group commit."""

    broker: AsyncBroker
    commit: C


class LoopSides(Generic[C]):
    """The sides of a client, one for each event loop that uses it, from any thread.

    A loop cannot be asked to tell when it is closed, and then nothing of its connections works any more, not even closing
    them. So whoever comes with a new loop closes what closed loops have left: `asyncio.run(task.adelay())` in each request of
    a web application keeps one connection, not one for each.

    Args:
        make: makes a side for the running loop.
    """

    def __init__(self, make: Callable[[], LoopSide[C]]) -> None:
        self._make = make
        self._sides: dict[asyncio.AbstractEventLoop, LoopSide[C]] = {}
        self._last: tuple[asyncio.AbstractEventLoop, LoopSide[C]] | None = None

    def here(self) -> LoopSide[C]:
        """The side of the running loop."""
        loop = asyncio.get_running_loop()
        last = self._last
        if last is not None and last[0] is loop:
            return last[1]  # nearly always
        side = self._sides.get(loop)
        if side is None:
            self.sweep()
            side = self._sides[loop] = self._make()
        self._last = loop, side
        return side

    def pop(self) -> LoopSide[C] | None:
        """Forget the side of the running loop, for whoever closes it."""
        self._last = None
        return self._sides.pop(asyncio.get_running_loop(), None)

    def sweep(self) -> None:
        """Close what closed loops have left."""
        for loop in [loop for loop in tuple(self._sides) if loop.is_closed()]:
            side = self._sides.pop(loop, None)  # another thread may sweep too
            last = self._last
            if last is not None and last[0] is loop:
                self._last = None
            if side is not None:
                side.broker.driver.abandon()

    def drop(self) -> None:
        """Close what all event loops have, closed or not, as far as it is idle: the server is no more used."""
        self.sweep()
        self._last = None
        for loop in tuple(self._sides):
            side = self._sides.pop(loop, None)
            if side is None:
                continue
            if loop.is_running() and loop is not _running():
                loop.call_soon_threadsafe(side.broker.driver.drop)
            else:
                side.broker.driver.drop()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
