"""`result.watch()`: what a task does and says, as it happens, for threads and for coroutines."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..broker.keys import queue_keys
from ..connection.coroutines import acarry_out, carry_out
from ..errors import BrokerUnavailable, ResultMissing
from .waiting import (
    FIRST_LOOK,
    LONGEST_LOOK,
    READ_TIMEOUT,
    Waited,
    alisten,
    listen,
    pause_before,
    within,
)
from .watching import WatchEvent, Watching

if TYPE_CHECKING:
    from ..connection.waiting import AsyncListener, Listener

DRAIN_SECONDS = 0.05
"""A message that was published before the task was found gone is here by then."""


class Watched(Waited, Protocol):
    """The handle that somebody watches a task by."""

    _coming: bool

    @property
    def _asked(self) -> str:
        """Who is asked for the task, for errors."""


class Watch:
    """What happens to a task, from now on: an iterator, in a coroutine with `async for`.

    First come its state, its lines and its progress as they are; the last is a `Verdict`. Each iteration begins anew.

    Args:
        handle: on the task.
        timeout: seconds; None: until it has ended.
    """

    def __init__(self, handle: Watched, timeout: float | None) -> None:
        self._handle = handle
        self._timeout = timeout

    def __iter__(self) -> Iterator[WatchEvent]:
        return watch_in_thread(self._handle, self._timeout)

    def __aiter__(self) -> AsyncIterator[WatchEvent]:
        return watch_on_loop(self._handle, self._timeout)


def watch_in_thread(handle: Watched, timeout: float | None) -> Iterator[WatchEvent]:
    """See `Watch`.

    Raises:
        ResultMissing: the queue does not know the task.
        ResultTimeout: it has not ended in time.
        BrokerUnavailable: a look had no answer for 30 s.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    broker, look = handle._client.broker, FIRST_LOOK
    listener: Listener | None = None
    heard: list[bytes] = []
    try:
        handle._read(within(deadline, READ_TIMEOUT))  # finds out where it is
        seen = _watching(handle)
        while True:
            seconds = within(deadline, READ_TIMEOUT)
            events = carry_out(seen.look(), partial(broker.run, timeout=seconds))
            if seen.is_gone:
                events += seen.gone(heard if any(heard) else _rest(listener))
            yield from events
            if seen.ended:
                return
            look = FIRST_LOOK if events else min(look * 1.5, LONGEST_LOOK)
            pause = pause_before(handle, deadline, look)
            heard = []
            try:
                if listener is None:
                    listener = listen(handle, within(deadline, max(pause, 1.0)), _reports(handle))
                elif (text := listener.wait(pause)) is not None:
                    heard = [text]
            except BrokerUnavailable:
                _close(listener)
                listener = None
                seen.look_back()
                time.sleep(pause)
    finally:
        _close(listener)


async def watch_on_loop(handle: Watched, timeout: float | None) -> AsyncIterator[WatchEvent]:
    """As `watch_in_thread`, from a coroutine."""
    import asyncio  # here, as in `waiting`: a child of plain functions has none

    deadline = None if timeout is None else time.monotonic() + timeout
    broker, look = handle._client.async_broker, FIRST_LOOK
    listener: AsyncListener | None = None
    heard: list[bytes] = []
    try:
        await handle._aread(within(deadline, READ_TIMEOUT))
        seen = _watching(handle)
        while True:
            seconds = within(deadline, READ_TIMEOUT)
            events = await acarry_out(seen.look(), partial(broker.run, timeout=seconds))
            if seen.is_gone:
                events += seen.gone(heard if any(heard) else await _arest(listener))
            for event in events:
                yield event
            if seen.ended:
                return
            look = FIRST_LOOK if events else min(look * 1.5, LONGEST_LOOK)
            pause = pause_before(handle, deadline, look)
            heard = []
            try:
                if listener is None:
                    listener = await alisten(handle, within(deadline, max(pause, 1.0)), _reports(handle))
                elif (text := await listener.wait(pause)) is not None:
                    heard = [text]
            except BrokerUnavailable:
                if listener is not None:
                    await listener.close()
                listener = None
                seen.look_back()
                await asyncio.sleep(pause)
    finally:
        if listener is not None:
            await listener.close()


def _watching(handle: Watched) -> Watching:
    if not handle.queue:
        raise ResultMissing(f"{handle._asked} task {handle.id}", task_id=handle.id)
    return Watching(handle.queue, handle.id, handle._client.crypto, coming=handle._coming)


def _reports(handle: Watched) -> str:
    """The channel on which is said that the task has reported something."""
    return queue_keys(handle.queue).reports_channel(handle.id)


def _rest(listener: Listener | None) -> Iterator[bytes]:
    """What is on its way still: the task was found gone, and may have said how."""
    until = time.monotonic() + DRAIN_SECONDS
    text: bytes | None = b""
    with contextlib.suppress(BrokerUnavailable):
        while listener is not None and not text and (left := until - time.monotonic()) > 0:
            text = listener.wait(left)
            yield text or b""


async def _arest(listener: AsyncListener | None) -> list[bytes]:
    texts: list[bytes] = []
    until = time.monotonic() + DRAIN_SECONDS
    with contextlib.suppress(BrokerUnavailable):
        while listener is not None and not any(texts) and (left := until - time.monotonic()) > 0:
            texts.append(await listener.wait(left) or b"")
    return texts


def _close(listener: Listener | None) -> None:
    if listener is not None:
        listener.close()
