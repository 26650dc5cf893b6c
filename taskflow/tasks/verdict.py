"""What was read of a task, as whoever waits for it sees it: what it returned, an error, or nothing yet (pure)."""

from __future__ import annotations

from typing import Any, Protocol

from ..broker.commands.read import Snapshot
from ..errors import (
    MessageError,
    ResultMismatch,
    ResultMissing,
    ResultNotKept,
    ResultNotTrusted,
    ResultUnreadable,
    SignatureError,
)
from ..message.message_crypto import MessageCrypto
from ..message.payload import decode_result
from ..message.returns import Returns, Unfit
from ..states import State
from .failure import failure_of

PENDING: Any = object()
"""There is no verdict yet."""


class ResultOf(Protocol):
    """What a handle has to know of its task to convert the result."""

    @property
    def name(self) -> str:
        """The task's name."""

    @property
    def _returns(self) -> Returns:
        """How its results are read."""


class HasKeys(Protocol):
    """A client, as far as results are opened with it."""

    @property
    def crypto(self) -> MessageCrypto:
        """What the app's keys do."""


class Asked(Protocol):
    """The handle for which something was read."""

    id: str
    queue: str
    _retention: int | None
    _task: ResultOf | None
    _coming: bool

    @property
    def _asked(self) -> str:
        """Who is asked for the task: "queue 'images' does not know"."""

    @property
    def _client(self) -> HasKeys:
        """Of its app."""


def verdict(handle: Asked, snapshot: Snapshot) -> Any:
    """What the task returned, converted; `PENDING` while that is not known.

    Args:
        handle: on the task.
        snapshot: what was read of it.

    Raises:
        TaskFailed: it is archived.
        ResultNotKept: no result is ever kept.
        ResultMissing: the queue does not know it.
        ResultUnreadable: the result is encrypted, with a key that the app does not have.
        ResultNotTrusted: the app has keys, and nobody who has one of them wrote the result.
        ResultMismatch: the result does not fit the annotation of the task's function.
    """
    retention = snapshot.message.retention if snapshot.message else handle._retention
    if snapshot.state == State.ARCHIVED:
        raise failure_of(handle.id, snapshot)
    if snapshot.state == State.COMPLETED:
        result = opened(handle, snapshot)
        return _converted(handle, result) if result is not None else None
    if retention == 0:
        raise not_kept(handle)
    if snapshot.state is None and not handle._coming:
        raise unknown(handle)
    return PENDING


def not_kept(handle: Asked) -> ResultNotKept:
    """The error for a task without `retention`."""
    return ResultNotKept(
        f"task {handle.id} keeps no result; give it one with retention=<seconds>, in @app.task or .options()",
        task_id=handle.id,
    )


def unknown(handle: Asked) -> ResultMissing:
    """The error for a task that is not there."""
    return ResultMissing(
        f"{handle._asked} task {handle.id}: it was deleted, its retention has passed, or it never existed",
        task_id=handle.id,
    )


def _converted(handle: Asked, data: bytes) -> Any:
    """The result as the task's function returned it; as its JSON where the function is not known."""
    if handle._task is None:
        return decode_result(data)
    try:
        return handle._task._returns.read(data)
    except Unfit as error:
        raise ResultMismatch(
            f"the result of task {handle.id} does not fit what {handle._task.name!r} is annotated to return: {error}; "
            "app.result(id, queue=...).get() gives it as it is",
            task_id=handle.id,
        ) from None


def opened(handle: Asked, snapshot: Snapshot) -> bytes | None:
    """The result's plain bytes; None: there are none. What it raises, `verdict` does."""
    crypto, id = handle._client.crypto, handle.id.encode("utf-8", "surrogateescape")
    try:
        return crypto.open_result(snapshot.message, handle.queue, id, snapshot.result)
    except SignatureError as error:
        raise ResultNotTrusted(
            f"the result of task {handle.id} is not trusted: {error}", task_id=handle.id
        ) from None
    except MessageError as error:
        raise ResultUnreadable(f"the result of task {handle.id} {error}", task_id=handle.id) from None
