"""Hears the cancellations that Go's and our tools publish, and passes them to the children."""

from __future__ import annotations

from collections.abc import Callable

from ..broker.aio import AsyncBroker
from ..broker.keys import CANCEL_CHANNEL
from ..connection.waiting import AsyncListener
from .service import Service

WAIT_SECONDS = 30.0


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
        """Wait for one cancellation."""
        if self._listener is None:
            self._listener = await AsyncListener.open(
                self._broker.driver, None, CANCEL_CHANNEL, 5.0, sharded=False
            )
        try:
            task_id = await self._listener.wait(WAIT_SECONDS)
        except BaseException:
            listener, self._listener = self._listener, None
            await listener.close()
            raise
        if task_id:
            self._cancel(task_id)
        return 0.0
