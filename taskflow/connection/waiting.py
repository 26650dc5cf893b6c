"""Waiting on a connection of one's own: for a message on a sharded channel, or for a list with items."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from redis import exceptions as redis_errors

from ..errors import BrokerError, BrokerUnavailable
from .aio import AsyncDriver
from .async_reply_reader import ask
from .driver import CONNECTION_ERRORS
from .faults import Remedy, understand
from .settings import pack
from .sync import SyncDriver

LATE = 2.0
"""A wait whose answer is later than its end by so many seconds is taken for lost."""

REST = 1.0
"""Seconds that a message may take to come whole, once its first bytes are here."""


class Listener:
    """Hears sharded channels of one key slot, on a blocking socket.

    What it hears is only a reason to look: a message that is missed (a fail-over, a reconnection) costs time,
    not truth.
    """

    def __init__(self, driver: SyncDriver, slot: int, channel: str, timeout: float, *more: str) -> None:
        deadline = time.monotonic() + timeout
        self._connection = driver.connect(slot, timeout)
        try:
            self._connection.reader.send(pack([("SSUBSCRIBE", channel, *more)]), deadline)
            for _ in (channel, *more):
                self._read(deadline)
        except CONNECTION_ERRORS as error:
            self.close()
            raise BrokerUnavailable(str(error)) from error
        except BaseException:
            self.close()
            raise

    def wait(self, timeout: float) -> bytes | None:
        """The next message's text, or None after `timeout` seconds; empty for what is no message."""
        try:
            if not self._connection.can_read(timeout):
                return None
            reply = self._read(time.monotonic() + REST)
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(str(error)) from error
        is_message = isinstance(reply, list) and len(reply) > 2 and isinstance(reply[2], bytes)
        return reply[2] if is_message else b""

    def _read(self, deadline: float) -> Any:
        replies: list[Any] = []
        self._connection.reader.replies(replies, 1, deadline)
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.drop()


class AsyncListener:
    """As `Listener`, in a coroutine: `await AsyncListener.open(...)`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(
        cls,
        driver: AsyncDriver,
        slot: int | None,
        channel: str,
        timeout: float,
        *more: str,
        sharded: bool = True,
    ) -> AsyncListener:
        """Connect and subscribe to a channel, and to `more` of them, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        connection = await driver.connect(slot, timeout)
        try:
            command = pack([("SSUBSCRIBE" if sharded else "SUBSCRIBE", channel, *more)])
            await ask(connection, deadline - time.monotonic(), command)
        except BaseException as error:
            connection.drop()
            if isinstance(error, CONNECTION_ERRORS):
                raise BrokerUnavailable(str(error)) from error
            raise
        return cls(connection)

    async def wait(self, timeout: float) -> bytes | None:
        """The next message's text, or None after `timeout` seconds; empty for what is no message."""
        heard = await self.hear(timeout)
        return None if heard is None else heard[1]

    async def hear(self, timeout: float) -> tuple[bytes, bytes] | None:
        """The next message's channel and text, or None after `timeout` seconds; empty for what is no message: the answer to a
        ping, a subscription that has begun or ended.
        """
        try:
            reply = await self._connection.read_response(
                disable_decoding=True, timeout=timeout, disconnect_on_error=False
            )
        except redis_errors.TimeoutError:
            return None
        except redis_errors.NoPermissionError:
            return (
                b"",
                b"",
            )  # the right to hear one more channel is missing; the channels before it are still heard
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(str(error)) from error
        if reply is None:  # what redis-py gives when the time is up
            return None
        if isinstance(reply, list) and len(reply) > 2 and isinstance(reply[2], bytes):
            return reply[1], reply[2]
        return b"", b""

    async def subscribe(self, channels: Iterable[str], *, ends: bool = False) -> None:
        """Hear more channels from now on, or (`ends`) these no more. Whoever waits hears the server's answer, too."""
        try:
            for channel in channels:
                await self._connection.send_command("UNSUBSCRIBE" if ends else "SUBSCRIBE", channel)
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(str(error)) from error

    async def ping(self) -> None:
        """Make sure that the connection still lives; the answer comes as one more message."""
        try:
            await self._connection.send_command("PING")
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(str(error)) from error

    async def close(self) -> None:
        """Close the connection."""
        self._connection.drop()


class ListWatch:
    """Waits until a list is not empty, without taking from it: `BLMOVE key key RIGHT RIGHT`.

    Nothing else wakes us for what Go pushes: its programs tell nobody.
    """

    def __init__(self, driver: AsyncDriver, slot: int, key: str) -> None:
        self._driver = driver
        self._slot = slot
        self._key = key
        self._connection: Any = None

    async def wait(self, seconds: float) -> bool:
        """Whether the list has something in it; False after `seconds` without.

        Raises:
            BrokerError: the wait is not possible just now (the connection broke, the slot moved, the server
                is full); the caller asks by itself for a while.
        """
        try:
            if self._connection is None:
                self._connection = await self._driver.connect(self._slot, seconds)
            wait = pack([("BLMOVE", self._key, self._key, "RIGHT", "RIGHT", seconds)])
            return await ask(self._connection, seconds + LATE, wait) is not None
        except BrokerError:
            raise
        except CONNECTION_ERRORS as error:
            connection = self._connection
            await self.close()
            if connection is not None and not isinstance(error, redis_errors.ResponseError):
                await self._driver.lost(connection, error, seconds)
            elif understand(error).remedy in (Remedy.MOVED, Remedy.WAIT, Remedy.ASK):
                await self._driver.refresh(seconds)
            raise BrokerUnavailable(str(error)) from error
        except BaseException:
            await self.close()
            raise

    async def ask(self, data: bytes) -> Any:
        """Send a command, packed, where a wait has just ended: its reply.

        Raises:
            BrokerError: the server refused it, or did not answer: whether it has run is not known.
        """
        connection = self._connection
        try:
            return await ask(connection, connection.socket_timeout, data)
        except redis_errors.ResponseError as error:
            raise BrokerUnavailable(str(error)) from error
        except CONNECTION_ERRORS as error:
            await self.close()
            raise BrokerUnavailable(str(error)) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.drop()
