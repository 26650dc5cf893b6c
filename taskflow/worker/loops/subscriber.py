"""Hears what is published for workers: the cancellations of Go's and our tools, and of tasks that are due in a moment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ...broker.aio import AsyncBroker
from ...broker.keys import CANCEL_CHANNEL, queue_keys
from ...connection.waiting import AsyncListener
from ...errors import BrokerError, BrokerUnavailable
from ..holding.cancels import Cancels
from ..service import Service

logger = logging.getLogger("taskflow.worker")

WAIT_SECONDS = 15.0
PING_SECONDS = 5.0
CATCH_UP_SECONDS = 0.1


class Subscriber(Service):
    """The loop on the channels, all on one connection to any node.

    A message lost in a reconnection is lost: the channels promise nothing more. A cancellation of ours is then read from the
    server, as soon as the connection is there again; one of Go's has no effect, and what is due is moved up to a second late.

    Args:
        broker: where.
        cancels: takes cancellations.
        catch_up: reads what has been cancelled while nothing was heard.
    """

    name = "subscriber"

    def __init__(
        self, broker: AsyncBroker, cancels: Cancels, catch_up: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__()
        self._broker = broker
        self._catch_up = catch_up
        self._told: dict[bytes, Callable[[bytes], None]] = {CANCEL_CHANNEL.encode(): cancels.heard_of_go}
        self._cancels = cancels
        self._listener: AsyncListener | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._catching_up: asyncio.Future[None] | None = None
        self._has_missed = False

    def add(self, queue: str, tell: Callable[[float], None]) -> None:
        """Hear of this queue: which of its tasks are cancelled. `tell` is given the Unix time at which a task is due, when one
        has come that is due before all others.
        """
        keys = queue_keys(queue)

        def due(said: bytes) -> None:
            with contextlib.suppress(ValueError):  # anybody may publish anything
                tell(float(said))

        self._told[keys.due.encode()] = due
        self._told[keys.cancels.encode()] = partial(self._cancels.heard, queue)
        self._change([keys.due, keys.cancels], ends=False)

    def remove(self, queue: str) -> None:
        """Hear of this queue no more."""
        keys = queue_keys(queue)
        channels = [one for one in (keys.due, keys.cancels) if self._told.pop(one.encode(), None) is not None]
        if channels:
            self._change(channels, ends=True)

    async def tick(self) -> float:
        """Wait for one message; in a long silence make sure that the connection still lives."""
        if self._listener is None:
            listener = await AsyncListener.open(self._broker.driver, None, CANCEL_CHANNEL, 5.0, sharded=False)
            # From here on, whoever adds a channel subscribes to it on this connection.
            self._listener = listener
            await listener.subscribe([channel.decode() for channel in self._told])
            self._catch_up_soon()
            self.progressed()
        try:
            heard = await self._listener.hear(WAIT_SECONDS)
            if heard is None:
                await self._listener.ping()
                # Usually the answer; or what was said just before it, which is not to be lost.
                heard = await self._listener.hear(PING_SECONDS)
                if heard is None:
                    raise BrokerUnavailable("the connection for cancellations is silent")
            elif not heard[0]:
                self._catch_up_soon()  # a subscription has begun: what was cancelled before that was not heard
        except BaseException:
            listener, self._listener = self._listener, None
            await listener.close()
            raise
        self._pass_on(*heard)
        return 0.0

    def _pass_on(self, channel: bytes, text: bytes) -> None:
        if (tell := self._told.get(channel)) is not None:
            tell(text)

    def _catch_up_soon(self) -> None:
        """Read what was cancelled before anybody listened, when the server must have begun to tell us; once for many channels."""
        self._has_missed = True
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.ensure_future(self._read_missed())

    async def _read_missed(self) -> None:
        while self._has_missed:
            await asyncio.sleep(CATCH_UP_SECONDS)
            self._has_missed = False
            try:
                await self._catch_up()
            except BrokerError:  # whoever extends leases reads it, too
                logger.debug("What was cancelled meanwhile could not be read", exc_info=True)

    async def stop(self) -> None:
        """Also of what it does besides, and of the connection: a round that is ended between two steps leaves it open."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        await super().stop()
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()

    def _change(self, channels: list[str], *, ends: bool) -> None:
        if self._listener is None:
            return
        task = asyncio.ensure_future(self._send(self._listener, channels, ends))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, listener: AsyncListener, channels: list[str], ends: bool) -> None:
        # An error needs no more: whoever waits on the connection opens it anew, and then subscribes to all channels.
        try:
            await listener.subscribe(channels, ends=ends)
            if not ends:
                self._catch_up_soon()
        except BrokerError:
            logger.debug("Channels %s could not be changed", ", ".join(channels), exc_info=True)
