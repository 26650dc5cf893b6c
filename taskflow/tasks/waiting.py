"""Waiting for the verdict on a task: looks at growing intervals, and a channel that cuts the pause between two of them short."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from ..broker.commands.read import Snapshot
from ..broker.keys import queue_keys
from ..errors import BrokerUnavailable, ResultTimeout

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.waiting import AsyncListener, Listener

_FIRST_LOOK = 0.05
_LONGEST_LOOK = 1.0
_READ_TIMEOUT = 30.0
_LEAST = 0.5
"""Seconds that a look may take however little time is left: with `timeout=0` there is one, too."""


class Waited(Protocol):
    """The handle that somebody waits on."""

    id: str
    queue: str
    _client: Client

    def _read(self, timeout: float) -> Snapshot:
        """Look, within so many seconds."""

    async def _aread(self, timeout: float) -> Snapshot:
        """The same, from a coroutine."""

    def _has_ended(self, snapshot: Snapshot) -> bool:
        """Whether there is a verdict; if it is none that one waits for, it is raised."""


def wait_in_thread(handle: Waited, timeout: float | None) -> None:
    """Return when there is a verdict, which the handle has then.

    Args:
        handle: on the task.
        timeout: seconds; None waits as long as it takes.

    Raises:
        ResultTimeout: there is none in time.
        BrokerUnavailable: a look had no answer.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    look = _FIRST_LOOK
    listener: Listener | None = None
    try:
        while not handle._has_ended(handle._read(_within(deadline, _READ_TIMEOUT))):
            pause = _pause(handle, deadline, look)
            if listener is None:
                listener = _listen(handle, pause, _within(deadline, max(pause, 1.0)))
            elif not _heard(listener, pause):
                listener = None
            look = min(look * 1.5, _LONGEST_LOOK)
    finally:
        if listener is not None:
            listener.close()


async def wait_on_loop(handle: Waited, timeout: float | None) -> None:
    """As `wait_in_thread`, from a coroutine."""
    # Only here, and redis-py below: a child of plain functions has neither.
    import asyncio

    deadline = None if timeout is None else time.monotonic() + timeout
    look = _FIRST_LOOK
    listener: AsyncListener | None = None
    try:
        while not handle._has_ended(await handle._aread(_within(deadline, _READ_TIMEOUT))):
            pause = _pause(handle, deadline, look)
            try:
                if listener is None:
                    listener = await _alisten(handle, _within(deadline, max(pause, 1.0)))
                else:
                    await listener.wait(pause)
            except BrokerUnavailable:
                await asyncio.sleep(pause)
                if listener is not None:
                    await listener.close()
                listener = None
            look = min(look * 1.5, _LONGEST_LOOK)
    finally:
        if listener is not None:
            await listener.close()


def _pause(handle: Waited, deadline: float | None, seconds: float) -> float:
    if deadline is None:
        return seconds
    left = deadline - time.monotonic()
    if left <= 0:
        raise ResultTimeout(f"task {handle.id} had no verdict in time", task_id=handle.id)
    return min(seconds, left)


def _listen(handle: Waited, pause_seconds: float, timeout: float) -> Listener | None:
    """Subscribe. The caller looks once more afterwards, so that nothing falls between the two."""
    from ..connection.waiting import Listener

    keys = queue_keys(handle.queue)
    try:
        return Listener(handle._client.broker.driver, keys.slot, keys.verdict_channel(handle.id), timeout)
    except BrokerUnavailable:
        time.sleep(pause_seconds)
        return None


async def _alisten(handle: Waited, timeout: float) -> AsyncListener:
    from ..connection.waiting import AsyncListener

    keys = queue_keys(handle.queue)
    driver = handle._client.async_broker.driver
    return await AsyncListener.open(driver, keys.slot, keys.verdict_channel(handle.id), timeout)


def _within(deadline: float | None, seconds: float) -> float:
    """So many seconds, but no more than are left."""
    return seconds if deadline is None else min(seconds, max(deadline - time.monotonic(), _LEAST))


def _heard(listener: Listener, seconds: float) -> bool:
    """Wait on the listener; False when its connection broke: the next round makes a new one."""
    with contextlib.suppress(BrokerUnavailable):
        listener.wait(seconds)
        return True
    listener.close()
    time.sleep(seconds)
    return False
