"""What was enqueued: the calls that wait in a test's queues, decoded, and assertions about them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..connection.coroutines import complete
from ..errors import MessageError
from ..inspector.both import ThreadBroker
from ..inspector.tasks import page_of_tasks
from ..inspector.values import TaskInfo
from ..message.message_crypto import NO_KEYS
from ..states import State
from ..tasks import registry
from .current import here
from .meant import Named, app_with, arguments_of, by_name, name_of, refuse_doubtful
from .upkeep import queue_names

WAITING = (State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
"""The states of what has yet to run."""

MOST = 100_000
"""Of one queue and state: a test that enqueues more looks at the first."""

SLACK_SECONDS = 1.5
"""A moment is stored in whole seconds, rounded up."""


@dataclass(frozen=True, slots=True)
class EnqueuedTask:
    """A call that waits to be run.

    Args:
        task: the task's name.
        kwargs: its arguments by name, positional ones too, converted as the task gets them; defaults are not in it. Of a task
            that no app here knows, what its JSON holds.
        queue: its queue.
        id: its id.
        state: `State.PENDING`, `SCHEDULED`, `RETRY` or `AGGREGATING`.
        at: when it may run; None: now.
        retried: how many attempts at it have failed.
        headers: those it was given.
        info: all that the inspector says of it.
        payload: the arguments where they are no JSON object.
    """

    task: str
    kwargs: Mapping[str, Any]
    queue: str
    id: str
    state: State
    at: datetime | None = None
    retried: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    info: TaskInfo | None = field(default=None, repr=False, compare=False)
    payload: bytes = field(default=b"", repr=False)

    @property
    def delay(self) -> float:
        """Seconds for which it still waits; 0: it may run now."""
        return 0.0 if self.at is None else max((self.at - datetime.now(UTC)).total_seconds(), 0.0)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.kwargs.items())
        when = f" in {self.delay:.0f} s" if self.at is not None else ""
        return f"{self.task}({given}) in queue {self.queue}{when} ({self.state.value})"


def enqueued(task: Named | None = None, *, queue: str | None = None) -> list[EnqueuedTask]:
    """What waits to be run on the test's server: pending, scheduled, to be retried, or in a group; the oldest first, by queue.

    Args:
        task: only calls of this task, or of this name.
        queue: only in this queue.

    Raises:
        ConfigurationError: there is no sandbox.
        InvalidOption: it is one of eager mode, where nothing waits.

    Example:
        >>> [one.kwargs for one in enqueued(welcome)]               # doctest: +SKIP
        [{'name': 'ann'}]
    """
    broker = here().broker
    name = None if task is None else name_of(task)
    asked = ThreadBroker(broker)
    found = []
    for one in queue_names(broker):
        for state in WAITING:
            page = complete(page_of_tasks(asked, [one], state, 1, MOST))
            found += [_decoded(info, state) for info in page.tasks if name in (None, info.type)]
    return [
        one for one in found if queue is None or one.queue.partition("~")[0] == queue or one.queue == queue
    ]


def assert_enqueued(
    task: Named,
    /,
    *args: Any,
    queue: str | None = None,
    delay: float | timedelta | None = None,
    at: datetime | None = None,
    count: int | None = None,
    **kwargs: Any,
) -> list[EnqueuedTask]:
    """Assert that a call of this task waits to be run.

    The arguments that are given are compared, by `==` (so `mock.ANY` fits everything) or as JSON has them; others may be what
    they will. Arguments whose names are taken here (`queue`, `count`, ...) are given as a call:
    `assert_enqueued(resize, mock.call("a.png", count=3), count=1)`.

    Args:
        task: the task, or its name.
        *args: positional arguments.
        queue: where it waits.
        delay: the seconds (or timedelta) that it was enqueued with.
        at: when it may run (`eta`).
        count: how many such calls there are exactly; None: at least one.
        **kwargs: arguments by name.

    Returns:
        Those that fit.

    Raises:
        AssertionError: with what waits instead.
        InvalidOption: the task has an argument of a name that is taken here, and it is not clear which is meant.

    Example:
        >>> assert_enqueued(welcome, "ann", queue="mail", delay=3600)   # doctest: +SKIP
    """
    if len(args) == 1 and not kwargs and _is_call(args[0]):
        args, kwargs = args[0].args, args[0].kwargs
    else:
        refuse_doubtful(task, queue=queue, delay=delay, at=at, count=count)
    name = name_of(task)
    wanted = by_name(task, args, kwargs)
    everything = enqueued()
    found = [
        one
        for one in everything
        if one.task == name
        and (queue is None or one.queue == queue or one.queue.partition("~")[0] == queue)
        and _fits(arguments_of(task, one.kwargs), wanted)
        and _is_due(one, delay, at)
    ]
    if (len(found) == count) if count is not None else found:
        return found
    shown = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
    where = "".join(
        f" {word}={value!r}"
        for word, value in (("queue", queue), ("delay", delay), ("at", at))
        if value is not None
    )
    how_many = "no call" if count is None else f"{len(found)} calls instead of {count}"
    raise AssertionError(f"{how_many} {name}({shown}){where} waits to be run; {_listing(everything)}")


def assert_nothing_enqueued(task: Named | None = None, *, queue: str | None = None) -> None:
    """Assert that nothing waits to be run: nothing at all, no call of this task, or nothing in this queue.

    Args:
        task: only calls of this task, or of this name.
        queue: only in this queue.

    Raises:
        AssertionError: with what waits.
    """
    found = enqueued(task, queue=queue)
    if found:
        raise AssertionError(f"nothing was to wait to be run; {_listing(found)}")


def _listing(found: Sequence[EnqueuedTask]) -> str:
    if not found:
        return "nothing does"
    shown = "".join(f"\n  {one}" for one in found[:20])
    more = f"\n  and {len(found) - 20} more" if len(found) > 20 else ""
    return f"these do:{shown}{more}"


def _decoded(info: TaskInfo, state: State) -> EnqueuedTask:
    message = info.message
    kwargs: dict[str, Any] = {}
    payload = b""
    if message is not None:
        app = app_with(message.type)
        crypto = (
            next((one._crypto for one in ([app] if app else registry.apps()) if one._crypto), None) or NO_KEYS
        )
        try:
            payload = crypto.open(message, info.queue, info.id.encode("utf-8", "surrogateescape")) or b"{}"
            if app is not None:
                kwargs = app.tasks[message.type]._decode(payload)
            elif isinstance(value := json.loads(payload), dict):
                kwargs = value
        except (MessageError, ValueError):
            pass  # it is shown without arguments: no worker could read them either, or only one in Go
    return EnqueuedTask(
        task=info.type,
        kwargs=kwargs,
        queue=info.queue,
        id=info.id,
        state=info.state or state,
        at=info.next_process_at,
        retried=message.retried if message else 0,
        headers=dict(message.headers) if message else {},
        info=info,
        payload=payload,
    )


def _is_call(value: Any) -> bool:
    """Whether it is a `mock.call(...)`, without an import of mock, which takes its time."""
    return type(value).__module__ == "unittest.mock" and hasattr(value, "kwargs") and isinstance(value, tuple)


def _fits(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in found and _is_same(found[name], value) for name, value in wanted.items())


def _is_same(found: Any, wanted: Any) -> bool:
    if found == wanted:
        return True
    try:
        return bool(_plain(found) == _plain(wanted))
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> Any:
    """As it is when it has travelled: a tuple is a list, a datetime is text."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _is_due(one: EnqueuedTask, delay: float | timedelta | None, at: datetime | None) -> bool:
    if delay is None and at is None:
        return True
    if at is not None:
        moment = at if at.tzinfo is not None else at.astimezone()
        return one.at is not None and abs((one.at - moment).total_seconds()) <= SLACK_SECONDS
    wanted = delay.total_seconds() if isinstance(delay, timedelta) else float(delay or 0)
    if one.at is None:
        return wanted == 0
    # When it was enqueued is not stored: at some time since the test began, and time may have been advanced since.
    place = here()
    since = time.monotonic() - place.began_at + place.advanced_seconds
    left = (one.at - datetime.now(UTC)).total_seconds()
    return wanted - since - SLACK_SECONDS <= left <= wanted + SLACK_SECONDS
