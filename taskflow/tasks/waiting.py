"""Waiting for the verdict on a task: looks at growing intervals, and a channel that cuts the pause between two of them short."""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import TYPE_CHECKING, Protocol

from ..broker.commands.read import Snapshot
from ..broker.keys import queue_keys
from ..connection.coroutines import in_thread
from ..errors import BrokerUnavailable, ResultTimeout, WaitsInTask
from .context import is_in_task

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.waiting import AsyncListener, Listener

FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0
"""Seconds between two looks: the first pause, and the longest."""

READ_TIMEOUT = 30.0
"""Seconds that a look may take."""

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


def warn_inside_a_task() -> None:
    """Warn if whoever has called the method that calls this is a task: Python shows that once for each place in a process.

    A coroutine is no better off: it lets others run while it waits, but it keeps its slot.
    """
    if is_in_task():
        warnings.warn(
            "a task waits for the result of another task: while it waits it keeps its slot, so if the other needs that slot, "
            "both wait for ever. Let the second task be enqueued at the end of the first, or run the two by different workers "
            "and give get() a timeout. To say that this is so: "
            'warnings.filterwarnings("ignore", category=taskflow.errors.WaitsInTask)',
            WaitsInTask,
            stacklevel=3,
        )


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
    look = FIRST_LOOK
    listener: Listener | None = None
    try:
        while not handle._has_ended(handle._read(within(deadline, READ_TIMEOUT))):
            pause = pause_before(handle, deadline, look)
            if listener is None:
                listener = _listen(handle, pause, within(deadline, max(pause, 1.0)))
            elif not _heard(listener, pause):
                listener = None
            look = min(look * 1.5, LONGEST_LOOK)
    finally:
        if listener is not None:
            listener.close()


async def wait_on_loop(handle: Waited, timeout: float | None) -> None:
    """As `wait_in_thread`, from a coroutine."""
    # Only here, and redis-py below: a child of plain functions has neither.
    import asyncio

    deadline = None if timeout is None else time.monotonic() + timeout
    look = FIRST_LOOK
    listener: AsyncListener | None = None
    try:
        while not await _has_ended(handle, await handle._aread(within(deadline, READ_TIMEOUT))):
            pause = pause_before(handle, deadline, look)
            try:
                if listener is None:
                    listener = await alisten(handle, within(deadline, max(pause, 1.0)))
                else:
                    await listener.wait(pause)
            except BrokerUnavailable:
                await asyncio.sleep(pause)
                if listener is not None:
                    await listener.close()
                listener = None
            look = min(look * 1.5, LONGEST_LOOK)
    finally:
        if listener is not None:
            await listener.close()


async def _has_ended(handle: Waited, snapshot: Snapshot) -> bool:
    """As the handle's, in a thread where the result may have to be fetched from the app's store."""
    if handle._client.crypto.offload is None:
        return handle._has_ended(snapshot)
    return await in_thread(handle._has_ended, snapshot)


def pause_before(handle: Waited, deadline: float | None, seconds: float) -> float:
    """Seconds until the next look: so many, or what is left.

    Raises:
        ResultTimeout: nothing is left.
    """
    if deadline is None:
        return seconds
    left = deadline - time.monotonic()
    if left <= 0:
        raise ResultTimeout(f"task {handle.id} had no verdict in time", task_id=handle.id)
    return min(seconds, left)


def listen(handle: Waited, timeout: float, *more: str) -> Listener:
    """Subscribe to the verdict on a task, and to more channels of its queue. The caller looks once more afterwards, so that
    nothing falls between the two.

    Raises:
        BrokerUnavailable: not in time.
    """
    # Only here, as below: a child of plain functions has no redis-py.
    from ..connection.waiting import Listener

    keys = queue_keys(handle.queue)
    driver = handle._client.broker.driver
    return Listener(driver, keys.slot, keys.verdict_channel(handle.id), timeout, *more)


async def alisten(handle: Waited, timeout: float, *more: str) -> AsyncListener:
    """As `listen`, from a coroutine."""
    from ..connection.waiting import AsyncListener

    keys = queue_keys(handle.queue)
    driver = handle._client.async_broker.driver
    return await AsyncListener.open(driver, keys.slot, keys.verdict_channel(handle.id), timeout, *more)


def _listen(handle: Waited, pause_seconds: float, timeout: float) -> Listener | None:
    """As `listen`; None after a pause where that cannot be."""
    try:
        return listen(handle, timeout)
    except BrokerUnavailable:
        time.sleep(pause_seconds)
        return None


def within(deadline: float | None, seconds: float) -> float:
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
