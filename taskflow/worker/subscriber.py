"""Hears the cancellations that Go's and our tools publish, and passes them to the children."""

from __future__ import annotations

from collections.abc import Callable

from ..broker.aio import AsyncBroker
from ..broker.keys import CANCEL_CHANNEL
from ..connection.waiting import AsyncListener
from ..errors import BrokerUnavailable
from .service import Service

WAIT_SECONDS = 15.0
PING_SECONDS = 5.0


class Subscriber(Service):
    """The loop on the channel of cancellations.

    A message lost in a reconnection is lost: the channel promises nothing more.
    """

    name = "subscriber"

    def __init__(self, broker: AsyncBroker, cancel: Callable[[bytes], None]) -> None:
        super().__init__()
        self._broker = broker
        self._cancel = cancel
        self._listener: AsyncListener | None = None

    async def tick(self) -> float:
        """Wait for one cancellation; in a long silence make sure that the connection still lives."""
        if self._listener is None:
            self._listener = await AsyncListener.open(
                self._broker.driver, None, CANCEL_CHANNEL, 5.0, sharded=False
            )
            self.progressed()
        try:
            task_id = await self._listener.wait(WAIT_SECONDS)
            if task_id is None:
                await self._listener.ping()
                if await self._listener.wait(PING_SECONDS) is None:
                    raise BrokerUnavailable("the connection for cancellations is silent")
        except BaseException:
            listener, self._listener = self._listener, None
            await listener.close()
            raise
        if task_id:
            self._cancel(task_id)
        return 0.0
