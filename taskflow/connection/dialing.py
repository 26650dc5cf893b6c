"""Opening a socket to a host within a given time, by whichever of its addresses answers ("happy eyeballs", RFC 8305).

A name may stand for a dead address and a living one. They are tried in turn, each a head start after the one before. What did
not answer, or led to a node that is of no use, is remembered for a while and tried last.
"""

from __future__ import annotations

import asyncio
import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .names import Door, alookup, lookup

HEAD_START = 0.25
"""Seconds after which the next address of a name is tried as well."""

REMEMBERED = 60.0
"""Seconds for which an address is tried after the others because it did not answer or led to a node of no use."""

_useless: dict[tuple[Any, ...], float] = {}
"""The addresses that were of no use, and when that was found (monotonic seconds)."""


def shun(peer: Any) -> None:
    """Try this address (as `getpeername` gives it) last for a while."""
    if isinstance(peer, tuple):
        if len(_useless) > 1000:
            _useless.clear()
        _useless[peer[:2]] = time.monotonic()


def in_turn(doors: Sequence[Door]) -> list[Door]:
    """The addresses of a host in the order in which they are to be tried."""
    if len(doors) < 2 or not _useless:
        return list(doors)
    now = time.monotonic()
    since = {door: _useless.get(door[1][:2], 0.0) for door in doors}
    return sorted(doors, key=lambda door: since[door] if now - since[door] < REMEMBERED else 0.0)


def dial(host: str, port: int, until: float, keepalive: Mapping[int, int]) -> socket.socket:
    """A blocking socket, connected.

    Args:
        host: its name or address.
        port: where.
        until: on the monotonic clock.
        keepalive: options of TCP.

    Raises:
        TimeoutError: not in time.
        OSError: no address of the host takes connections, or it has none.
    """
    doors = in_turn(lookup(host, port, until))
    if len(doors) != 1:
        return _race(doors, until, keepalive)
    one = _socket(doors[0], keepalive)
    try:
        one.settimeout(max(until - time.monotonic(), 0.001))
        one.connect(doors[0][1])
    except BaseException:
        one.close()
        raise
    return one


async def adial(host: str, port: int, until: float, keepalive: Mapping[int, int]) -> socket.socket:
    """As `dial`, in a coroutine: a socket that does not block."""
    doors = in_turn(await alookup(host, port, until))
    pause = _pause(doors, until)
    waiting = deque(doors)
    tries: dict[asyncio.Task[socket.socket], Door] = {}
    error: BaseException = TimeoutError()
    next_at = 0.0
    try:
        while waiting or tries:
            now = time.monotonic()
            if now >= until:
                raise TimeoutError
            if waiting and (now >= next_at or not tries):
                door = waiting.popleft()
                tries[asyncio.create_task(_knock(door, keepalive))] = door
                next_at = now + pause
            until_next = min(until, next_at) if waiting else until
            done, _ = await asyncio.wait(
                tries, timeout=max(until_next - now, 0.0), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                door = tries.pop(task)
                failed = task.exception()
                if failed is None:
                    _came(door, doors, tries.values())
                    return task.result()
                shun(door[1])
                error, next_at = failed, 0.0
    except TimeoutError:
        for door in tries.values():
            shun(door[1])
        raise
    finally:
        for task in tries:
            task.cancel()
        for ended in await asyncio.gather(*tries, return_exceptions=True):
            if isinstance(ended, socket.socket):  # it came in the same moment as another
                ended.close()
    raise error


async def _knock(door: Door, keepalive: Mapping[int, int]) -> socket.socket:
    one = _socket(door, keepalive)
    try:
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, door[1])
    except BaseException:
        one.close()
        raise
    return one


def _race(doors: Sequence[Door], until: float, keepalive: Mapping[int, int]) -> socket.socket:
    pause = _pause(doors, until)
    waiting = deque(doors)
    tries: dict[socket.socket, Door] = {}
    error: OSError = TimeoutError()
    next_at = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or tries:
                now = time.monotonic()
                if now >= until:
                    raise TimeoutError
                if waiting and (now >= next_at or not tries):
                    door = waiting.popleft()
                    one = _socket(door, keepalive)
                    one.setblocking(False)
                    code = one.connect_ex(door[1])
                    if code not in (0, errno.EINPROGRESS):
                        one.close()
                        shun(door[1])
                        error = OSError(code, os.strerror(code))
                        continue
                    tries[one], next_at = door, now + pause
                    selector.register(one, selectors.EVENT_WRITE)
                until_next = min(until, next_at) if waiting else until
                for key, _ in selector.select(max(until_next - now, 0.0)):
                    one = key.fileobj  # type: ignore[assignment]
                    selector.unregister(one)
                    door = tries.pop(one)
                    code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code and _is_connected(one):
                        _came(door, doors, tries.values())
                        return one
                    one.close()
                    shun(door[1])
                    error, next_at = OSError(code, os.strerror(code)), 0.0
        except TimeoutError:
            for door in tries.values():
                shun(door[1])
            raise
        finally:
            for one in tries:
                one.close()
    raise error


def _pause(doors: Sequence[Door], until: float) -> float:
    """Seconds between the starts of two tries: fewer where the time does not suffice for all of them."""
    return min(HEAD_START, max(until - time.monotonic(), 0.0) / (len(doors) + 1))


def _came(door: Door, doors: Sequence[Door], losers: Iterable[Door]) -> None:
    """Note that this address has answered, and that those which were tried before it have not."""
    _useless.pop(door[1][:2], None)
    for loser in losers:
        if doors.index(loser) < doors.index(door):
            shun(loser[1])


def _is_connected(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def _socket(door: Door, keepalive: Mapping[int, int]) -> socket.socket:
    one = socket.socket(door[0], socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in keepalive.items():
            one.setsockopt(socket.IPPROTO_TCP, name, value)
    except BaseException:
        one.close()
        raise
    return one
