"""Starts children in the place of others, until nobody wants them any more: one, all at once, or one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from .child import Child
from .recycling import Started
from .starter import Starter

LOOK_SECONDS = 0.5
"""How often it is looked, while a child finishes what it runs, whether the rest is still wanted."""


class Renewal:
    """The starts of one group of children.

    Args:
        starter: starts one, however often that takes.
        wanted: how many children there should be.
        is_stopping: whether the worker stops, and wants none.
        adopt: takes a child that was started, and how many died young before it. The oldest that takes work then takes no more.
    """

    def __init__(
        self,
        starter: Starter,
        wanted: Callable[[], int],
        is_stopping: Callable[[], bool],
        adopt: Callable[[Started, int], None],
    ) -> None:
        self._starter = starter
        self._wanted = wanted
        self._is_stopping = is_stopping
        self._adopt = adopt
        self._restarting = asyncio.Lock()
        self._restarts = 0

    async def start(self, deaths: int = 0) -> Started | None:
        """Start a child, however often that takes; None: it is not wanted any more."""
        before = self._restarts

        def is_wanted() -> bool:
            return not self._is_stopping() and before == self._restarts

        started = await self._starter.start(is_wanted, deaths)
        if started is not None and not is_wanted():
            started[0].discard()
            return None
        return started

    async def start_one(self, deaths: int = 0) -> None:
        """Start a child, and have it adopted."""
        started = await self.start(deaths)
        if started is not None:
            self._adopt(started, deaths)

    async def restart(self) -> None:
        """Start as many as there should be, however many there are.

        What was being started before, or waited for its turn after children had died, is given up: it may
        have the code of before.
        """
        self._restarts += 1
        mine = self._restarts
        self._starter.renew()
        self._starter.hurry()
        async with self._restarting:
            for _ in range(self._wanted()):
                if mine == self._restarts:
                    await self.start_one()

    async def roll(self, old: Iterable[Child]) -> None:
        """Replace children so that there is never one less than before, nor more than one beside them.

        The next is replaced when the one before has ended. A restart meanwhile replaces the rest at once.

        Args:
            old: who is to be replaced, the oldest first; looked at when it is their turn.
        """
        mine = self._restarts

        def is_wanted() -> bool:
            return mine == self._restarts and not self._is_stopping()

        self._starter.renew()
        async with self._restarting:
            for child in list(old):
                if not child.takes_work:
                    continue  # it was replaced otherwise
                if is_wanted():
                    await self.start_one()
                while is_wanted() and child.life is not None and not child.life.done():
                    await asyncio.wait([child.life], timeout=LOOK_SECONDS)
