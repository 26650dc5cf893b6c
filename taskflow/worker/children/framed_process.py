"""A process that is spoken to in frames, over a socket: from its first word until one of the two has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from typing import Any, Self

from ...pipe import frames
from ..timings import Timings
from .process import Process

logger = logging.getLogger("taskflow.worker")

LAST_WORDS_SECONDS = 0.05
"""When a child has ended and its socket has brought nothing for so many seconds, everything that it said has been read."""

MOST_LAST_WORDS = 20

END_SECONDS = 5.0
"""Seconds that a child has to end after it has closed its socket, for what its code does then; after that it is killed."""


class FramedProcess:
    """The process of a child, with our end of its socket.

    Args:
        connection: our end.
        process: what was started at the other.
        timings: how long what it says may take.
    """

    def __init__(self, connection: socket.socket, process: Process, timings: Timings) -> None:
        self.process = process
        self.closed = False
        self.heard_at = time.monotonic()
        self._timings = timings
        self._connection = connection
        self._frames = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> frames.FromChild:
        """Wait for the child's first frame: what the app is, or why it could not be imported.

        Raises:
            EOFError: it has ended without one.
        """
        self._reader, self._writer = await asyncio.open_connection(sock=self._connection, limit=1 << 20)
        reading = asyncio.ensure_future(self._read())
        ending = asyncio.ensure_future(self.process.wait())
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await self._hear_out(reading)
            if not reading.done():
                raise EOFError
            return reading.result()
        finally:
            reading.cancel()
            ending.cancel()

    async def live(self, on_frame: Callable[[Self, frames.FromChild], None]) -> int:
        """Give every frame to `on_frame` until the child has ended; its exit code.

        It ends with its process or with its socket, whichever is first: a process that it has forked may keep the socket open
        for as long as it likes, and one whose socket is closed can do nothing for us any more.
        """
        listening = asyncio.ensure_future(self._listen(on_frame))
        ending = asyncio.ensure_future(self.process.wait())
        try:
            await asyncio.wait({listening, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                await self._hear_out(listening)
            if listening.done() and (broken := listening.exception()) is not None:
                logger.error(
                    "What child %d said could not be taken; it is ended", self.process.pid, exc_info=broken
                )
            # Without its socket it can do nothing for us, and the tasks that it held go back only when it has ended.
            patience = END_SECONDS if self.closed else self._timings.lost
            self.close()
            if not self.process.separate:
                await self.process.leave()
                return 0
            await asyncio.wait({ending}, timeout=patience)
            if not ending.done():
                logger.error(
                    "Child %d has not ended %.0f s after its socket: it is killed",
                    self.process.pid,
                    patience,
                )
                self.kill()
            return await ending
        finally:
            listening.cancel()
            ending.cancel()

    async def _listen(self, on_frame: Callable[[Self, frames.FromChild], None]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                value = await self._read()
                self._frames += 1
                if (
                    type(value) is not frames.Reports
                ):  # a task that says something proves nothing of the child's parts
                    self.heard_at = time.monotonic()
                on_frame(self, value)

    async def _hear_out(self, listening: asyncio.Future[Any]) -> None:
        """Its process has ended. Read what it said before that, for a bounded time: a process that it forked may keep the socket
        open.
        """
        heard = -1
        for _ in range(MOST_LAST_WORDS):
            if listening.done() or heard == self._frames:
                break
            heard = self._frames
            await asyncio.wait({listening}, timeout=LAST_WORDS_SECONDS)

    async def _read(self) -> frames.FromChild:
        header = await self._reader.readexactly(frames.LENGTH)
        try:
            body = await self._reader.readexactly(frames.body_size(header))
            return frames.decode_from_child(body)
        except frames.BadFrame as error:
            # No frame of ours: the user's code runs in the same process and may have written into the socket.
            logger.error("A child wrote what is no frame (%s): it is ended", error)
            self.kill()
            raise EOFError from None

    def send(self, value: Any) -> None:
        """Send a frame; a child that is gone is noticed by `live`."""
        if not self.closed and self._writer is not None:
            self._writer.write(frames.frame(value))

    def close(self) -> None:
        """Close the socket: the child ends at once."""
        if not self.closed:
            self.closed = True
            if self._writer is not None:
                self._writer.write(frames.frame(frames.End()))
                self._writer.close()
            else:
                self._connection.close()

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
