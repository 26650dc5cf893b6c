"""`GET /healthz`: answers from one thread of its own, so that it also tells when the worker's event loop is stuck.

Whoever reaches the port may open connections and say nothing. So they are few, each has little time, and when there is no room
the oldest makes some: the worker's descriptors are for its children and its broker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ...errors import InvalidOption, PortInUse
from .troubles import SAY_SECONDS, describe

logger = logging.getLogger("taskflow.worker")

MOST_CONNECTIONS = 32

SECONDS = 5.0
"""Seconds that one connection has, from its beginning to its end."""

MOST_BYTES = 8192
"""Of one request."""

PAUSE = 0.5
"""Seconds until it goes on after an error that is not a connection's own."""

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(slots=True, eq=False)
class _Caller:
    socket: socket.socket
    until: float
    heard: bytearray = field(default_factory=bytearray)


class HealthServer:
    """200 while all is well, else 503, and what is not, as JSON.

    Args:
        port: to listen on.
        state: as `Health.state`; called in this server's thread.
        host: the address to bind: a loopback address, or `0.0.0.0` where a probe comes from outside, as in a container.

    Raises:
        PortInUse: somebody else has the port.
        InvalidOption: this machine has no such address.
    """

    def __init__(self, port: int, state: Callable[[], dict[str, object]], host: str = "127.0.0.1") -> None:
        self._state = state
        self._callers: list[_Caller] = []
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self._listener = socket.create_server((host, port), family=found[0][0], backlog=MOST_CONNECTIONS)
        except OSError as error:
            if isinstance(error, socket.gaierror) or not _is_address_of_this_host(host):
                raise InvalidOption(f"--health-host {host}: this machine has no such address") from error
            raise PortInUse(port, f" ({error.strerror})", option="--health-port") from error
        self._listener.setblocking(False)
        self._bell, self._other_end = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._ends = False
        self._thread = threading.Thread(target=self._serve, name="taskflow-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._ends = True
        self._other_end.close()
        self._thread.join(SECONDS)
        for caller in list(self._callers):
            self._hang_up(caller)
        self._selector.close()
        self._listener.close()
        self._bell.close()

    def _serve(self) -> None:
        said_at = -SAY_SECONDS
        while not self._ends:
            try:
                self._round()
            except Exception as error:
                # No descriptor is free, most likely: it stays so until somebody has closed one, and the probe asks again.
                if time.monotonic() - said_at >= SAY_SECONDS:
                    said_at = time.monotonic()
                    logger.warning(
                        "The health port could not answer (%s); it goes on", describe(error), exc_info=error
                    )
                time.sleep(PAUSE)

    def _round(self) -> None:
        now = time.monotonic()
        for caller in [one for one in self._callers if one.until <= now]:
            self._hang_up(caller)
        first = min((caller.until for caller in self._callers), default=None)
        for key, _ in self._selector.select(None if first is None else max(first - now, 0.0)):
            if key.fileobj is self._listener:
                self._accept()
            elif key.data is not None:
                self._hear(key.data)

    def _accept(self) -> None:
        if len(self._callers) >= MOST_CONNECTIONS:
            self._hang_up(self._callers[0])
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # it has gone again
            return
        connection.setblocking(False)
        caller = _Caller(connection, time.monotonic() + SECONDS)
        self._callers.append(caller)
        self._selector.register(connection, selectors.EVENT_READ, caller)

    def _hear(self, caller: _Caller) -> None:
        try:
            data = caller.socket.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        caller.heard += data
        whole = b"\r\n\r\n" in caller.heard or b"\n\n" in caller.heard
        if whole:
            # The answer fits into the socket's buffer, so this does not block; a caller that does not read it loses it.
            with contextlib.suppress(OSError):
                caller.socket.send(self._answer(bytes(caller.heard)))
        if whole or not data or len(caller.heard) >= MOST_BYTES:
            self._hang_up(caller)

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.split(b"\n", 1)[0].strip().partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        value: dict[str, object]
        if method not in (b"GET", b"HEAD"):
            status, value = 405, {"error": "ask by GET"}
        elif path != b"/healthz":
            status, value = 404, {"error": "not found; the only path is /healthz"}
        else:
            value = self._state()
            status = 200 if value["ok"] else 503
        body = json.dumps(value).encode() + b"\n"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == b"HEAD" else body)

    def _hang_up(self, caller: _Caller) -> None:
        if caller in self._callers:
            self._callers.remove(caller)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(caller.socket)
            caller.socket.close()


def _is_address_of_this_host(host: str) -> bool:
    """Whether something can listen there at all."""
    try:
        family, kind, _, _, (address, *_rest) = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
