"""Sending and reading on redis-py's connections in threads, without what it does around each reply."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from typing import Any

from redis import connection as redis_connection
from redis import exceptions as redis_errors

from . import signals

SLACK = 0.02
"""A part of the socket's timeout. A reply may be later than its deadline by so much, and in return the timeout need not be set
for each reply.
"""

LOOK_AFTER = 0.05
"""Seconds after which a connection may have been closed by the node while nobody looked."""

AT_ONCE = 16384
"""Bytes that the kernel takes without waiting for the node, on a connection where everything has been answered."""


class ReplyReader(redis_connection.DefaultParser):  # type: ignore[misc, valid-type]
    """The parser of a connection (`parser_class=ReplyReader`), which trips also use directly.

    redis-py makes the connection, logs in and maps error replies to exceptions. For each reply, though, it sets the
    socket's timeout twice, asks for its own address and looks at its state: more time than all the rest of a round trip.

    Where possible, the kernel keeps the socket's timeout (`SO_RCVTIMEO`). For a timeout of its own, Python waits for the socket
    first and then reads, and lets go of the interpreter for both. Among many threads, the one that sends for all the others would
    wait for its turn twice.
    """

    def on_connect(self, connection: Any, **options: Any) -> None:
        """Called by the connection when its socket is there."""
        super().on_connect(connection, **options)
        connection.reader = self
        self._timeout = connection.socket_timeout
        self._enough = self._timeout * (1 - SLACK)
        self._in_kernel = False
        self._watch = None
        # Not with TLS: the tickets of a session may wait to be read, and look like a reply.
        if hasattr(select, "poll") and not isinstance(self._sock, ssl.SSLSocket):
            self._watch = select.poll()
            self._watch.register(self._sock, select.POLLIN)
            self._in_kernel = self._hand_timeout_to_kernel()
        # What the reader says when a reply is not complete; it has no public name.
        self._incomplete = self._reader.gets(False)

    def was_closed(self, seconds: float, movable: bool) -> bool:
        """Whether the node has closed the connection while it was idle. Sent there, a request would be lost, and nobody could
        say whether it ran.

        While it is in use all the time, looking each time costs more than the rare request that has to be sent again. But one
        that could go elsewhere would then wait for a node that is known to be gone.

        Args:
            seconds: for which nobody has used it.
            movable: whether what is to be sent can go elsewhere.
        """
        if seconds <= LOOK_AFTER and not movable:
            return False
        return self._sock is None or (self._watch is not None and bool(self._watch.poll(0)))

    def send(self, data: bytes, deadline: float) -> None:
        """Send a pipeline.

        Args:
            data: its bytes.
            deadline: on the monotonic clock; each part of it also has to be taken within the socket's own timeout.

        Raises:
            redis.TimeoutError: the node has not taken it in time.
            OSError: the connection broke.
        """
        if len(data) <= AT_ONCE:
            self._sock.sendall(data)
            return
        short = False
        rest = memoryview(data)
        try:
            while rest:
                left = deadline - time.monotonic()
                if left < self._enough:
                    short = True
                    self._wait_no_longer_than(max(left, 0.001), socket.SO_SNDTIMEO)
                rest = rest[self._sock.send(rest) :]
        except (TimeoutError, BlockingIOError):
            raise redis_errors.TimeoutError("the node has not taken the request in time") from None
        finally:
            if short:
                self._wait_no_longer_than(self._timeout, socket.SO_SNDTIMEO)

    def ask(self, data: bytes, now: float, deadline: float) -> Any:
        """Send one command and read its reply; an error of the server comes as an exception. `send` and `replies` are called as
        soon as something is not as usual.

        Args:
            data: the command, packed.
            now: on the monotonic clock.
            deadline: on the same.

        Raises:
            redis.ConnectionError: as `replies`.
            redis.TimeoutError: as `send` and `replies`.
            OSError: as they.
        """
        seen = signals.handlers
        if (
            deadline - now < self._enough
            or len(data) > AT_ONCE
            or now >= seen.look_at
            or (seen.exist and threading.get_ident() == seen.main)
        ):
            self.send(data, deadline)
        else:
            self._sock.sendall(data)
            try:
                size = self._sock.recv_into(self._buffer)
            except (TimeoutError, BlockingIOError):
                raise redis_errors.TimeoutError("Timeout reading from socket") from None
            if not size:
                raise redis_errors.ConnectionError("Connection closed by server.")
            self._reader.feed(self._buffer, 0, size)
            reply = self._reader.gets(False)
            if reply is not self._incomplete:
                if isinstance(reply, redis_errors.ConnectionError):
                    raise reply
                return reply
        replies: list[Any] = []
        self.replies(replies, 1, deadline)
        return replies[0]

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
        timeout, buffer = self._timeout, self._buffer
        short = False
        try:
            for _ in range(count):
                reply = reader.gets(False)
                while reply is incomplete:
                    now = time.monotonic()
                    left = deadline - now
                    if self._in_kernel and self._watch is not None and signals.may_interrupt(now):
                        # After a signal `poll` goes on with the time that is left, while the kernel would begin its timeout anew.
                        if not self._watch.poll(max(min(left, timeout) * 1000, 1)):
                            raise TimeoutError
                    elif left < self._enough:
                        short = True
                        self._wait_no_longer_than(max(left, 0.001))
                    size = sock.recv_into(buffer)
                    if not size:
                        raise redis_errors.ConnectionError("Connection closed by server.")
                    reader.feed(buffer, 0, size)
                    reply = reader.gets(False)
                if isinstance(reply, redis_errors.ConnectionError):
                    raise reply
                replies.append(reply)
        except (TimeoutError, BlockingIOError):
            raise redis_errors.TimeoutError("Timeout reading from socket") from None
        finally:
            if short:
                self._wait_no_longer_than(timeout)

    def _hand_timeout_to_kernel(self) -> bool:
        """Whether the kernel keeps the time for this socket from now on."""
        try:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._sock.setsockopt(socket.SOL_SOCKET, option, _timeval(self._timeout))
        except OSError:
            return False
        self._sock.settimeout(None)
        return True

    def _wait_no_longer_than(self, seconds: float, option: int = socket.SO_RCVTIMEO) -> None:
        if self._in_kernel:
            self._sock.setsockopt(socket.SOL_SOCKET, option, _timeval(seconds))
        else:
            self._sock.settimeout(seconds)


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))
