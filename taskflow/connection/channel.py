"""`Channel`: sends and reads on the socket of one of redis-py's connections, without what it does around each reply."""

from __future__ import annotations

import select
import ssl
import time
from typing import Any

from redis import connection as redis_connection
from redis import exceptions as redis_errors

SLACK = 0.02
"""The part of a socket's timeout by which a reply may outlast its deadline: below it nothing is set for one reply."""


class Channel(redis_connection.DefaultParser):  # type: ignore[misc, valid-type]
    """The parser of a connection (`parser_class=Channel`), which trips also use directly.

    redis-py makes the connection, logs in and maps error replies to exceptions. For each reply, though, it sets the
    socket's timeout twice, asks for its own address and looks at its state: more time than all the rest of a round trip.
    """

    def on_connect(self, connection: Any, **options: Any) -> None:
        """Called by the connection when its socket is there."""
        super().on_connect(connection, **options)
        connection.channel = self
        self._patience = connection.socket_timeout
        self._watch = None
        # Not with TLS, where a session's tickets may wait to be read.
        if hasattr(select, "poll") and not isinstance(self._sock, ssl.SSLSocket):
            self._watch = select.poll()
            self._watch.register(self._sock, select.POLLIN)
        # What the reader says when a reply is not complete; it has no public name.
        self._incomplete = self._reader.gets(False)

    def was_closed(self) -> bool:
        """Whether the node has closed the connection while it was idle. Sent there, a request would be lost, and nobody could
        say whether it ran.
        """
        return self._sock is None or (self._watch is not None and bool(self._watch.poll(0)))

    def send(self, data: bytes) -> None:
        """Send a pipeline.

        Raises:
            OSError: the connection broke, or the node has not taken it within the socket's timeout.
        """
        self._sock.sendall(data)

    def replies(self, replies: list[Any], count: int, deadline: float) -> None:
        """Read replies; those of the server that are errors come as exceptions among them.

        Args:
            replies: where they are put, so that those before a break are not lost.
            count: how many.
            deadline: on the monotonic clock; each reply also has to come within the socket's own timeout.

        Raises:
            redis.ConnectionError: the connection broke, or the server closes it with the reply.
            redis.TimeoutError: the next reply did not come in time.
            OSError: the connection broke.
        """
        sock, reader, incomplete = self._sock, self._reader, self._incomplete
        patience, buffer = self._patience, self._buffer
        short = False
        try:
            for _ in range(count):
                reply = reader.gets(False)
                while reply is incomplete:
                    left = deadline - time.monotonic()
                    if left < patience * (1 - SLACK):
                        short = True
                        sock.settimeout(max(left, 0.001))
                    size = sock.recv_into(buffer)
                    if not size:
                        raise redis_errors.ConnectionError("Connection closed by server.")
                    reader.feed(buffer, 0, size)
                    reply = reader.gets(False)
                if isinstance(reply, redis_errors.ConnectionError):
                    raise reply
                replies.append(reply)
        except TimeoutError:
            raise redis_errors.TimeoutError("Timeout reading from socket") from None
        finally:
            if short:
                sock.settimeout(patience)
