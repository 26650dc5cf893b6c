"""Sending and reading on redis-py's connections in coroutines, as `reply_reader` does in threads."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import connection as async_redis_connection

READ_BYTES = 65536


class AsyncReplyReader(async_redis_connection.DefaultParser):  # type: ignore[misc, valid-type]
    """As `ReplyReader`, for redis-py's asyncio connections.

    redis-py sends each command from a task of its own, which begins when all coroutines that are ready have run: with a hundred
    of them the server idles meanwhile. And with a `timeout`, its `read_response` answers None where nothing came, which is
    also what an empty reply looks like; the reply that comes later would be taken for that of the next command.
    """

    def on_connect(self, connection: Any) -> None:
        """Called by the connection when its streams are there."""
        super().on_connect(connection)
        connection.reader = self
        self._loop = asyncio.get_running_loop()
        self._writer = connection._writer
        self._timeout = connection.socket_timeout
        self._late: redis_errors.TimeoutError | None = None
        # What the reader says when a reply is not complete; it has no public name.
        self._incomplete = self._reader.gets(False)

    def was_closed(self, seconds: float, movable: bool) -> bool:
        """As `ReplyReader.was_closed`, but at any time: the event loop has been told, so it costs nothing."""
        return bool(self._stream.at_eof())

    def send(self, data: bytes, deadline: float) -> None:
        """Send a pipeline. Whether the node takes it by the deadline is told by the replies, which have to come in time."""
        self._writer.write(data)

    async def replies(
        self, replies: list[Any], count: int, deadline: float, timeout: float | None = None
    ) -> None:
        """Read replies; those of the server that are errors come as exceptions among them.

        Args:
            replies: where they are put, so that those before a break are not lost.
            count: how many.
            deadline: on the monotonic clock.
            timeout: seconds that each may take; None: the timeout of the connection's socket.

        Raises:
            redis.ConnectionError: the connection broke, or the server closes it with the reply.
            redis.TimeoutError: the next reply did not come in time.
            OSError: the connection broke.
        """
        reader, incomplete = self._reader, self._incomplete
        if timeout is None:
            timeout = self._timeout
        for _ in range(count):
            reply = reader.gets(False)
            while reply is incomplete:
                reader.feed(await self._more(min(timeout, deadline - time.monotonic())))
                reply = reader.gets(False)
            if isinstance(reply, redis_errors.ConnectionError):
                raise reply
            replies.append(reply)

    def abandon(self) -> None:
        """Close the socket of a connection whose event loop is closed.

        A transport closes its socket from a callback of the loop, and a closed loop calls nothing back. (uvloop's are closed
        with their loop.)
        """
        transport = self._writer.transport
        with suppress(
            RuntimeError
        ):  # marks the transport as closing; the rest of it would run on the loop, which is closed
            transport.close()
        if (tls := getattr(transport, "_ssl_protocol", None)) is not None:
            transport = tls._transport
        if (close := getattr(transport, "_call_connection_lost", None)) is not None:
            with suppress(
                RuntimeError
            ):  # TLS would tell the streams, by way of the loop; the socket is closed all the same
                close(None)

    async def _more(self, seconds: float) -> bytes:
        # Not `asyncio.timeout`: it would cancel the task that reads, and costs more.
        timer = self._loop.call_later(max(seconds, 0.001), self._give_up, seconds)
        try:
            data: bytes = await self._stream.read(READ_BYTES)
        finally:
            timer.cancel()
        if self._late is not None:  # data came in the same moment, but the stream has the error already
            raise self._late
        if not data:
            raise redis_errors.ConnectionError("Connection closed by server.")
        return data

    def _give_up(self, seconds: float) -> None:
        self._late = redis_errors.TimeoutError(f"no reply within {seconds:.1f} s")
        self._stream.set_exception(self._late)


async def ask(connection: Any, seconds: float, data: bytes) -> Any:
    """Send one command, packed, on a connection of redis-py's with an `AsyncReplyReader`, and read its reply.

    Raises:
        redis.exceptions.TimeoutError: nothing came within `seconds`; the connection has to be closed.
        redis.exceptions.RedisError: what the server says, or that the connection broke.
    """
    reader: AsyncReplyReader = connection.reader
    deadline = time.monotonic() + seconds
    reader.send(data, deadline)
    replies: list[Any] = []
    await reader.replies(replies, 1, deadline, seconds)
    if isinstance(replies[0], Exception):
        raise replies[0]
    return replies[0]
