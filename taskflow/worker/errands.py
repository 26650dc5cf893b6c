"""What is done once, beside the loops: its failure is said, and keeps nothing else from being done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterator

from .health.troubles import describe

logger = logging.getLogger("taskflow.worker")


class Errands:
    """Things that a signal asked for, under way."""

    def __init__(self) -> None:
        self._going: set[asyncio.Future[None]] = set()

    def begin(self, what: str, work: Awaitable[None]) -> asyncio.Future[None]:
        """Do it; what is given can be awaited, and never raises.

        Args:
            what: how people read it, should it fail.
            work: to be done.
        """

        async def run() -> None:
            with said(what):
                await work

        errand = asyncio.ensure_future(run())
        self._going.add(errand)
        errand.add_done_callback(self._going.discard)
        return errand


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """For a step whose failure is logged and must not keep the steps after it from being done."""
    try:
        yield
    except Exception as error:
        logger.error("%s failed (%s)", what, describe(error), exc_info=error)
