"""Looking up host names within a given time. The C library's resolver takes none: a silent name server holds it for 30 s.

So it is asked by a thread of its own, which whoever has no more time leaves behind. Who asks for the same name meanwhile waits
for the same thread; so a resolver that is slower than anybody's patience still gets to answer in the end. When it does not
answer, or says that it cannot just now, the addresses that the name had the last time serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Door = tuple[int, tuple[Any, ...]]
"""An address family, and an address as sockets take it."""

PATIENCE = 0.5
"""Seconds that a lookup is waited for if the name has been looked up before: then the addresses of that time serve."""

HUNG = 30.0
"""Seconds after which a lookup is no longer waited for, and another one is begun."""


class UnresolvedHost(TimeoutError):
    """The resolver did not answer in time."""


class _Lookup:
    """A lookup that is under way."""

    def __init__(self, host: str, port: int) -> None:
        self.began_at = time.monotonic()
        self.doors: list[Door] = []
        self.error: Exception | None = None
        self._host, self._port = host, port
        self._is_over = False
        # Without a shared lock: a signal handler may interrupt a thread that holds the lock, look up the same name, and wait for
        # ever.
        self._calls: list[Callable[[], None]] = []

    def run(self) -> None:
        """Ask the resolver."""
        try:
            found = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)
            self.doors = list(dict.fromkeys((int(one[0]), one[4]) for one in found))
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            self.error = error
        key = (self._host, self._port)
        if self.doors:
            _known[key] = self.doors
        if _under_way.get(key) is self:
            del _under_way[key]
        self._is_over = True
        while self._calls:
            self._calls.pop()()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        gate = threading.Lock()
        gate.acquire()
        self._calls.append(gate.release)
        if not self._is_over:
            gate.acquire(timeout=max(seconds, 0.0))
        return self._is_over

    async def await_(self, seconds: float) -> bool:
        """As `wait`, in a coroutine."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(end)

        self._calls.append(tell)
        if not self._is_over:
            await asyncio.wait([ended], timeout=max(seconds, 0.0))
        return self._is_over

    def result(self, host: str) -> list[Door]:
        """The addresses, or those of the last time.

        Raises:
            OSError: there are none; `Unresolved`: not in time.
        """
        known = _known.get((host, self._port), [])
        if not self._is_over:
            if known:
                return known
            raise UnresolvedHost(f"the name {host} was not resolved in time")
        if isinstance(self.error, socket.gaierror) and self.error.errno == socket.EAI_AGAIN and known:
            return known
        if self.error is not None:
            raise self.error if isinstance(self.error, OSError) else OSError(str(self.error))
        return self.doors


_known: dict[tuple[str, int], list[Door]] = {}
_under_way: dict[tuple[str, int], _Lookup] = {}


def lookup(host: str, port: int, until: float) -> list[Door]:
    """The addresses of a host.

    Args:
        host: a name, or an address as text, which needs no lookup.
        port: goes into the addresses.
        until: on the monotonic clock.

    Raises:
        OSError: the name has no address; `Unresolved`: that is not known in time.
    """
    if door := literal(host, port):
        return [door]
    one = _begun(host, port)
    one.wait(_seconds(host, port, until))
    return one.result(host)


async def alookup(host: str, port: int, until: float) -> list[Door]:
    """As `lookup`, in a coroutine. (A loop's own `getaddrinfo` holds up the loop's end until the resolver has answered.)"""
    if door := literal(host, port):
        return [door]
    one = _begun(host, port)
    await one.await_(_seconds(host, port, until))
    return one.result(host)


def literal(host: str, port: int) -> Door | None:
    """The address that stands there as text; None: it is a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return int(family), (host, port) if family == socket.AF_INET else (host, port, 0, 0)
    return None


def _begun(host: str, port: int) -> _Lookup:
    """The lookup of this name that is under way; a new one, where there is none or it hangs."""
    one = _under_way.get((host, port))
    if one is not None and time.monotonic() - one.began_at < HUNG:
        return one
    _under_way[host, port] = one = _Lookup(host, port)
    try:
        threading.Thread(target=one.run, name=f"taskflow-lookup-{host}", daemon=True).start()
    except RuntimeError:  # no more threads, as when the interpreter ends
        one.run()
    return one


def _seconds(host: str, port: int, until: float) -> float:
    left = until - time.monotonic()
    return min(left, PATIENCE) if (host, port) in _known else left


os.register_at_fork(after_in_child=_under_way.clear)
