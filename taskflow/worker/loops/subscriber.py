"""Hears what is published for workers: the cancellations of Go's and our tools, and of tasks that are due in a moment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ...broker.aio import AsyncBroker
from ...broker.keys import CANCEL_CHANNEL, queue_keys
from ...connection.waiting import AsyncListener
from ...errors import BrokerError, BrokerUnavailable
from ..service import Service

logger = logging.getLogger("taskflow.worker")

WAIT_SECONDS = 15.0
PING_SECONDS = 5.0


class Subscriber(Service):
    """The loop on the channels, all on one connection to any node.

    A message lost in a reconnection is lost: the channels promise nothing more. A cancellation then has no effect, and what is
    due is moved up to a second late.

    Args:
        broker: where.
        cancel: is given the id of a task.
    """

    name = "subscriber"

    def __init__(self, broker: AsyncBroker, cancel: Callable[[bytes], None]) -> None:
        super().__init__()
        self._broker = broker
        self._cancel = cancel
        self._told: dict[bytes, Callable[[float], None]] = {}
        self._listener: AsyncListener | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def add(self, queue: str, tell: Callable[[float], None]) -> None:
        """Give `tell` the Unix time at which a task of this queue is due, when one has come that is due before all others."""
        channel = queue_keys(queue).due
        self._told[channel.encode()] = tell
        self._change(channel, ends=False)

    def remove(self, queue: str) -> None:
        """Hear of this queue no more."""
        channel = queue_keys(queue).due
        if self._told.pop(channel.encode(), None) is not None:
            self._change(channel, ends=True)

    async def tick(self) -> float:
        """Wait for one message; in a long silence make sure that the connection still lives."""
        if self._listener is None:
            listener = await AsyncListener.open(self._broker.driver, None, CANCEL_CHANNEL, 5.0, sharded=False)
            # From here on, whoever adds a channel subscribes to it on this connection.
            self._listener = listener
            await listener.subscribe([channel.decode() for channel in self._told])
            self.progressed()
        try:
            heard = await self._listener.hear(WAIT_SECONDS)
            if heard is None:
                await self._listener.ping()
                if await self._listener.hear(PING_SECONDS) is None:
                    raise BrokerUnavailable("the connection for cancellations is silent")
        except BaseException:
            listener, self._listener = self._listener, None
            await listener.close()
            raise
        if heard is not None:
            self._pass_on(*heard)
        return 0.0

    def _pass_on(self, channel: bytes, text: bytes) -> None:
        if channel == CANCEL_CHANNEL.encode():
            self._cancel(text)
        elif (tell := self._told.get(channel)) is not None:
            with contextlib.suppress(ValueError):  # anybody may publish anything
                tell(float(text))

    def _change(self, channel: str, *, ends: bool) -> None:
        if self._listener is None:
            return
        task = asyncio.ensure_future(self._send(self._listener, channel, ends))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, listener: AsyncListener, channel: str, ends: bool) -> None:
        # An error needs no more: whoever waits on the connection opens it anew, and then subscribes to all channels.
        try:
            await listener.subscribe([channel], ends=ends)
        except BrokerError:
            logger.debug("Channel %s could not be changed", channel, exc_info=True)
