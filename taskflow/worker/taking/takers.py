"""All that takes tasks in one worker: it is quieted and goes on together."""

from __future__ import annotations

import asyncio

from ..errands import Errands
from .fetcher import Fetcher


class Takers:
    """The fetchers of a worker.

    Args:
        errands: what stops and starts them, which nobody waits for.
    """

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._fetchers: list[Fetcher] = []
        self._quieting: list[asyncio.Future[None]] = []
        self._ended = False
        self.are_open = True
        """Whether they take."""

    def add(self, fetcher: Fetcher) -> None:
        """One more; it takes when the others do."""
        self._fetchers.append(fetcher)
        if self.are_open:
            fetcher.start()

    def remove(self, fetcher: Fetcher) -> None:
        """One less; whoever asks stops it."""
        self._fetchers.remove(fetcher)

    def are_unsure(self) -> bool:
        """Whether one of them may have tasks of which nothing is known here yet."""
        return any(fetcher.is_unsure for fetcher in self._fetchers)

    def quiet(self) -> None:
        """Take nothing more."""
        self.are_open = False
        self._quieting = [stop for stop in self._quieting if not stop.done()] + [
            self._errands.begin(f"the stop of the {fetcher.name}", fetcher.stop())
            for fetcher in self._fetchers
        ]

    def resume(self) -> None:
        """Take again."""
        self.are_open = True
        self._errands.begin("the start of taking", self._take_again())

    async def stop(self) -> None:
        """Stop for good; what is under way is waited for."""
        self._ended = True
        await asyncio.gather(*(fetcher.stop() for fetcher in self._fetchers))

    async def _take_again(self) -> None:
        """Not before they have stopped: the stop would end what was just started, for good."""
        await asyncio.gather(*self._quieting)
        for fetcher in self._fetchers:
            if self.are_open and not self._ended and not fetcher.runs:
                fetcher.start()
