"""What can be asked of a handle besides its result: Celery's names where they mean the same, each with a twin for coroutines.

One look at the task answers each of them; what was read is turned into the answer by a function of its own, for both.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from ..broker.command import TIMEOUT
from ..broker.commands.read import Snapshot
from ..broker.words import Moved
from ..errors import Cancel, IllegalMove, ResultTimeout, TaskCancelled, TaskFailed
from ..states import State
from .result_info import moment, state_of
from .verdict import PENDING, ResultOf, not_kept, unknown

R = TypeVar("R")

STATUS = {
    State.PENDING: "PENDING",
    State.SCHEDULED: "PENDING",
    State.AGGREGATING: "PENDING",
    State.ACTIVE: "STARTED",
    State.RETRY: "RETRY",
    State.COMPLETED: "SUCCESS",
    State.ARCHIVED: "FAILURE",
}
"""Celery's words for where a task is; REVOKED for one that is archived since nobody wants it any more."""

UNWANTED = frozenset({TaskCancelled.__name__, Cancel.__name__, "Expired"})
"""What a task is archived with, as its error's type, that was cancelled or has expired."""


class ResultFacts(Generic[R]):
    """The part of a handle that says how its task stands; `AsyncResult` sets what is declared here, and reads the task."""

    id: str
    queue: str
    """Where it is: of a queue with partitions, the partition. "" until it is found, if no queue was named."""
    _task: ResultOf | None
    _retention: int | None

    @property
    def task_id(self) -> str:
        """Celery's name for `id`."""
        return self.id

    @property
    def state(self) -> State | None:
        """Where the task is now, as its queue has it, or None when the queue does not know it (any more)."""
        return state_of(self._read().state)

    async def astate(self) -> State | None:
        """As `state`, from a coroutine."""
        return state_of((await self._aread()).state)

    @property
    def status(self) -> str | None:
        """The same in Celery's words: PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED; None when nobody knows it."""
        return _status(self._read())

    async def astatus(self) -> str | None:
        """As `status`, from a coroutine."""
        return _status(await self._aread())

    def ready(self) -> bool:
        """Whether it has ended, well or not, so that `get()` does not wait: also when the queue does not know it any more.
        One that lies in the app's outbox has not.
        """
        return self._is_ready(self._read())

    async def aready(self) -> bool:
        """As `ready`, from a coroutine."""
        return self._is_ready(await self._aread())

    def successful(self) -> bool:
        """Whether it has ended well.

        Raises:
            ResultNotKept: it has ended and, without `retention`, left nothing that would say how.
            ResultMissing: the queue does not know it.
        """
        return self._ended_as(State.COMPLETED, self._read())

    async def asuccessful(self) -> bool:
        """As `successful`, from a coroutine."""
        return self._ended_as(State.COMPLETED, await self._aread())

    def failed(self) -> bool:
        """Whether it has failed for good: one that will be tried again has not, nor one that was cancelled or has expired
        (`REVOKED`). Raises as `successful`.
        """
        return _has_failed(self._ended_as(State.ARCHIVED, snapshot := self._read()), snapshot)

    async def afailed(self) -> bool:
        """As `failed`, from a coroutine."""
        return _has_failed(self._ended_as(State.ARCHIVED, snapshot := await self._aread()), snapshot)

    @property
    def result(self) -> R | TaskFailed | None:
        """What the task returned; the `TaskFailed` that `get()` would raise if it failed for good; None while it has not ended.

        Raises:
            ResultError: as `get()`, but for `TaskFailed` and `ResultTimeout`.
        """
        return self._result_in(self._read())

    async def aresult(self) -> R | TaskFailed | None:
        """As `result`, from a coroutine."""
        return self._result_in(await self._aread())

    @property
    def traceback(self) -> str | None:
        """The worker's traceback of the last failure, as text without locals; None where there is none."""
        return _traceback(self._read())

    async def atraceback(self) -> str | None:
        """As `traceback`, from a coroutine."""
        return _traceback(await self._aread())

    @property
    def name(self) -> str | None:
        """The task's name; None when the queue does not know it (any more) and this handle never did."""
        return self._task.name if self._task is not None else _name(self._read())

    async def aname(self) -> str | None:
        """As `name`, from a coroutine."""
        return self._task.name if self._task is not None else _name(await self._aread())

    @property
    def retries(self) -> int | None:
        """How many of its attempts have failed and been retried; None when the queue does not know it."""
        return _retries(self._read())

    async def aretries(self) -> int | None:
        """As `retries`, from a coroutine."""
        return _retries(await self._aread())

    @property
    def date_done(self) -> datetime | None:
        """When it ended (UTC), well or not; None before, and when the queue does not know it."""
        return _date_done(self._read())

    async def adate_done(self) -> datetime | None:
        """As `date_done`, from a coroutine."""
        return _date_done(await self._aread())

    # --- what `AsyncResult` does --------------------------------------------------------------------------------

    _value: Any
    _coming: bool = False
    """It lies in the app's outbox, as far as is known here: that its queue does not know it says nothing yet."""

    def _read(self, timeout: float = TIMEOUT) -> Snapshot:
        """Look at the task."""
        raise NotImplementedError

    async def _aread(self, timeout: float = TIMEOUT) -> Snapshot:
        """The same, from a coroutine."""
        raise NotImplementedError

    def _has_ended(self, snapshot: Snapshot) -> bool:
        """Whether there is a verdict; an error is raised, a value is kept."""
        raise NotImplementedError

    def _is_ready(self, snapshot: Snapshot) -> bool:
        return (snapshot.state is None and not self._coming) or snapshot.state in (
            State.COMPLETED,
            State.ARCHIVED,
        )

    def _ended_as(self, wanted: State, snapshot: Snapshot) -> bool:
        if snapshot.state is None and self._coming:
            return False
        if snapshot.state is None and self._value is PENDING:
            raise (not_kept if self._retention == 0 else unknown)(self)  # type: ignore[arg-type] # it is an AsyncResult
        return snapshot.state == wanted or (snapshot.state is None and wanted is State.COMPLETED)

    def _result_in(self, snapshot: Snapshot) -> R | TaskFailed | None:
        try:
            self._has_ended(snapshot)
        except TaskFailed as error:
            return error
        except ResultTimeout:  # in eager mode, where nobody will run it while one waits
            return None
        return None if self._value is PENDING else self._value


def check_forgotten(outcome: Moved, task_id: str, queue: str) -> None:
    """Raise IllegalMove if a task could not be forgotten, since it has not ended. One that is not there is forgotten already."""
    if outcome in (Moved.MOVED, Moved.NO_SUCH_TASK):
        return
    how = "is running" if outcome is Moved.IS_ACTIVE else "has yet to run"
    raise IllegalMove(
        f"task {task_id!r} of queue {queue!r} {how}, so nothing is kept of it that could be forgotten; forget() is for tasks "
        "that have ended, app.inspector.delete(queue, id) deletes one that waits"
    )


def _status(snapshot: Snapshot) -> str | None:
    state = state_of(snapshot.state)
    if state is None:
        return None
    return "REVOKED" if state is State.ARCHIVED and snapshot.error_type in UNWANTED else STATUS[state]


def _has_failed(is_archived: bool, snapshot: Snapshot) -> bool:
    return is_archived and snapshot.error_type not in UNWANTED


def _traceback(snapshot: Snapshot) -> str | None:
    reason = snapshot.reason
    return (reason.traceback or None) if reason is not None else None


def _name(snapshot: Snapshot) -> str | None:
    return snapshot.message.type if snapshot.message is not None else None


def _retries(snapshot: Snapshot) -> int | None:
    return snapshot.message.retried if snapshot.message is not None else None


def _date_done(snapshot: Snapshot) -> datetime | None:
    message = snapshot.message
    if message is None:
        return None
    if snapshot.state == State.COMPLETED:
        return moment(message.completed_at)
    return moment(message.last_failed_at) if snapshot.state == State.ARCHIVED else None
