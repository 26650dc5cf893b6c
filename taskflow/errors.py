"""Every exception that taskflow raises, in one tree.

`TaskFlowError` is the root. Below it, four questions decide where an error belongs: does the programmer fix
it (`ConfigurationError`), does the caller of `.delay()` decide (`EnqueueError`), does somebody wait or call
the operator (`BrokerError`), or is something wrong with what is stored (`MessageError`)? Facts about the
error are attributes.

No message holds a password, an argument of a task or a result.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attempts import FailedAttempt


class TaskFlowError(Exception):
    """The root of every error of taskflow."""


# --- the programmer fixes it --------------------------------------------------------------------------------


class ConfigurationError(TaskFlowError):
    """An app, a task or a setting is declared in a way that cannot work."""


class InvalidOption(ConfigurationError, ValueError):
    """An option of a task or a call has a value that it cannot have."""


class UnknownOption(ConfigurationError, TypeError):
    """An option that does not exist was given to `.options(...)`, `@app.task(...)` or `apply_async`."""


class InvalidQueueName(InvalidOption):
    """A queue name is empty, too long, or holds braces, whitespace or control characters."""


class InvalidTaskId(InvalidOption):
    """A task id is empty, too long, or holds braces or control characters."""


class InvalidBrokerURL(ConfigurationError, ValueError):
    """A broker URL cannot be understood."""


class InvalidSignature(ConfigurationError, TypeError):
    """A function cannot be a task: `*args`, positional-only parameters, types that cannot be JSON."""


class TaskNotRegistered(ConfigurationError, LookupError):
    """The app has no task of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no task is registered under the name {name!r}")
        self.name = name


class TaskAlreadyRegistered(ConfigurationError):
    """Two functions claim the same task name."""


class AppNotFound(ConfigurationError):
    """`-A` names a module or an attribute that cannot be loaded as an app.

    `details` is the traceback of an import that failed in another process, or empty.
    """

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class NotPrivate(ConfigurationError):
    """A folder or a file that only this user should be able to write to is somebody else's, a link, or open to others.

    `path` is where it is.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}, so nothing is read or written there; look at who made it, then remove it or make it yours alone "
            f"(chmod 700)"
        )
        self.path = path


class PortInUse(ConfigurationError):
    """A port that a server was told to use belongs to somebody else."""

    def __init__(self, port: int, detail: str = "", *, option: str = "--port") -> None:
        super().__init__(
            f"port {port} is in use{detail}; choose another with {option}, or stop what listens there"
        )
        self.port = port


class ServerTooOld(ConfigurationError):
    """The server cannot run the scripts: it is older than Redis 7.0."""


class ServerBinaryNotFound(ConfigurationError):
    """No valkey-server or redis-server can be found for the embedded server."""


class EmbeddedServerError(TaskFlowError):
    """The embedded server or cluster did not start, or did not form; the end of its log is in the message."""


# --- the caller of .delay() decides -------------------------------------------------------------------------


class EnqueueError(TaskFlowError):
    """A task was not enqueued."""


class InvalidArguments(EnqueueError, TypeError):
    """The arguments do not fit the task: one is missing, unknown, of the wrong type, or cannot be JSON.

    In a worker such a task is archived and never retried.
    """


class DuplicateTask(EnqueueError):
    """A task with the same name and arguments holds the `unique` lock."""

    def __init__(self, name: str, queue: str, holder: str | None = None) -> None:
        held = f" (held by task {holder})" if holder else ""
        super().__init__(f"task {name!r} with these arguments is already enqueued in queue {queue!r}{held}")
        self.name = name
        self.queue = queue
        self.holder = holder


class TaskIdConflict(EnqueueError):
    """Another task of the queue has this id."""

    def __init__(self, task_id: str, queue: str) -> None:
        super().__init__(
            f"task id {task_id!r} already exists in queue {queue!r}; "
            "choose another id, or delete or wait for the first"
        )
        self.task_id = task_id
        self.queue = queue


class StoreError(EnqueueError):
    """The app's store did not take the arguments of a call, or the result of a task; the cause is what the store has raised."""


class PayloadTooLarge(EnqueueError, ValueError):
    """The encoded arguments are over the limit."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"the encoded arguments of task {name!r} are {size:,} bytes, over the limit of {limit:,}; "
            "store the data elsewhere and pass a reference, or raise max_payload on the app"
        )
        self.name = name
        self.size = size
        self.limit = limit


# --- wait, or call the operator -----------------------------------------------------------------------------


class BrokerError(TaskFlowError):
    """Something is wrong between here and the Redis or Valkey server."""


class BrokerUnavailable(BrokerError, ConnectionError):
    """The server could not be reached, or could not serve, until the deadline.

    Whether the last command ran is unknown: `.delay()` with the same `id` is safe to repeat.
    """

    def __init__(self, message: str, *, task_id: str | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class BrokerRefused(BrokerError):
    """The server answers, and will not serve us whatever we try: somebody has to change the URL or the server."""


class BrokerAuthError(BrokerRefused):
    """The server asks for a password, or refuses the one given, or the user lacks a permission."""


class BrokerMismatch(BrokerRefused, InvalidBrokerURL):
    """The server is not what the URL says.

    It is a cluster, or is none; it has no such database; its certificate is not trusted; the Sentinels know no such service.
    """


class DeliveredTooLate(BrokerError):
    """A task from an outbox was brought to its queue long after it was read there: somebody else may have brought it since.

    Nothing was written. Read the outbox again: if the task is still in it, deliver it.
    """


class ScriptError(BrokerError):
    """A Lua script failed in a way that a retry cannot mend: a bug, or a key of the wrong type."""

    def __init__(self, script: str, detail: str) -> None:
        super().__init__(f"script {script!r} failed: {detail}")
        self.script = script


class NotDurable(BrokerError):
    """With `durable="strict"`: the task is enqueued, but on one node only, which has no replica just now.

    It will run unless that node is lost first. To try again for a confirmation, enqueue it with the same `id`.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"task {task_id} is enqueued, but no replica could confirm it: its node has none just now"
        )
        self.task_id = task_id


class QueueNotFound(TaskFlowError, LookupError):
    """No client has ever used a queue of this name."""

    def __init__(self, queue: str) -> None:
        super().__init__(f"queue {queue!r} does not exist; `taskflow queue ls` lists those that do")
        self.queue = queue


class QueueNotEmpty(TaskFlowError):
    """A queue cannot be removed while it holds tasks."""


class TaskNotFound(TaskFlowError, LookupError):
    """The queue has no task of this id; or, with no `queue`, none of the queues that are listed has."""

    def __init__(self, task_id: str, queue: str = "") -> None:
        super().__init__(
            f"queue {queue!r} has no task {task_id!r}"
            if queue
            else f"no queue that is listed has a task {task_id!r}: it is done, was deleted, or is in a queue that -q would name"
        )
        self.task_id = task_id
        self.queue = queue


class AmbiguousTaskId(TaskFlowError, LookupError):
    """Several queues have a task of this id."""

    def __init__(self, task_id: str, queues: Sequence[str]) -> None:
        super().__init__(
            f"task {task_id!r} is in the queues {', '.join(map(repr, queues))}; name one, with -q or queue="
        )
        self.task_id = task_id
        self.queues = tuple(queues)


class IllegalMove(TaskFlowError):
    """The task is in a state from which it cannot go where it was told to."""


# --- the stored bytes are bad -------------------------------------------------------------------------------


class BuildFailed(TaskFlowError):
    """No child of a worker could make a message that takes the app's keys. What it was to be made of stays where it is."""


class MessageError(TaskFlowError):
    """Something stored cannot be understood; the task is archived as it is."""


class DecodeError(MessageError):
    """The bytes are not a message of Asynq's format."""


class SignatureError(MessageError):
    """A message is not signed by one of the app's keys; it is archived unread.

    `reason` is "unsigned" or "bad signature".
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class ContentTypeError(MessageError):
    """The payload of a message is not of the kind that its task takes."""


class DecryptionError(MessageError):
    """What is encrypted was changed, or moved to another task or queue."""


class CompressionError(MessageError):
    """What is compressed cannot be decompressed, or would be larger than it may be."""


class StoredContentError(MessageError):
    """What a message refers to is not in the store, or is not what was put there."""


class NotForThisWorker(MessageError):
    """A message that another worker may be able to read; it is put back for one.

    It is encrypted with a key that is not here, or carries a function made by another Python.
    """


# --- results ------------------------------------------------------------------------------------------------


class ResultError(TaskFlowError):
    """The result of a task cannot be given."""

    def __init__(self, message: str, *, task_id: str) -> None:
        super().__init__(message)
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), task_id=self.task_id), self.args


class ResultTimeout(ResultError, TimeoutError):
    """The task had no verdict within the time that `get()` was given."""


class ResultNotKept(ResultError):
    """The task has no `retention`, so nothing remains once it has succeeded: there is no result to get."""


class ResultMissing(ResultError):
    """The queue does not know the task: it never existed, was deleted, or its retention has passed."""


class ResultUnreadable(ResultError):
    """The result is encrypted, and the app has no key for it, or it was tampered with."""


class ResultNotTrusted(ResultError):
    """The app has keys, and the result was not written by anybody who has one of them.

    A worker without keys wrote it, or one in Go (`TaskFlow(accept_unsigned_results=True)` takes such results), or it is
    forged.
    """


class ResultMismatch(ResultError):
    """The result does not fit the annotation of the task's function.

    The task has succeeded: `app.result(id, queue=...)`, which knows no annotation, gives what it returned.
    """


class TaskFailed(ResultError):
    """The task is archived: it failed for good. Where Python prints this error, the worker's traceback stands below.

    Args:
        text: what the task left as its error.
        task_id: which task.
        kind: the name of the type that it failed with; "" where that is not known, as of what failed in Go.
        traceback: the worker's, as text without locals; "" where there is none.
        attempts: those that failed, the oldest first (`FailedAttempt`); the last ten are kept.
    """

    def __init__(
        self,
        text: str,
        *,
        task_id: str,
        kind: str = "",
        traceback: str = "",
        attempts: Sequence[FailedAttempt] = (),
    ) -> None:
        said = f"{kind}: {text}" if kind and kind != text else text
        tried = f" (the last of {len(attempts)} failed attempts)" if len(attempts) > 1 else ""
        super().__init__(f"task {task_id} failed: {said}{tried}", task_id=task_id)
        self.text = text
        self.kind = kind
        self.traceback = traceback
        self.attempts = tuple(attempts)
        if traceback:
            self.add_note(f"In the worker:\n{traceback}")

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(
            type(self),
            task_id=self.task_id,
            kind=self.kind,
            traceback=self.traceback,
            attempts=self.attempts,
        )
        return again, (self.text,)


class WaitsInTask(RuntimeWarning):
    """A task waits for another's result and keeps its slot meanwhile; if the other needs that slot, both wait for ever."""


class ResultNotSerializable(TaskFlowError, TypeError):
    """What a task returned cannot be written as JSON, so it cannot be kept as its result."""


class LazyResult(ResultNotSerializable):
    """A task returned a generator, or another object of which nothing has run; it is archived."""


# --- inside a running task ----------------------------------------------------------------------------------


class NotInTask(TaskFlowError, RuntimeError):
    """`current_task()` was called outside a running task."""


class TaskTimeout(TaskFlowError):
    """Raised inside a task whose `timeout` or `deadline` has passed (the soft limit): a failed attempt.

    No `TimeoutError`, since that is an `OSError`: code that tries again after a failed call of the system must not swallow it.
    """


class MaxRetriesExceeded(TaskFlowError):
    """`self.retry()` without an `exc` was called in a task that has had all its retries: it is archived."""


class TaskCancelled(BaseException):
    """Raised inside a task that was cancelled; it is archived and not retried.

    Outside the tree of `TaskFlowError`, and no `Exception`, as asyncio's: `except Exception` in a task must not swallow it.
    """


class TaskVerdict(Exception):
    """Not an error: raised by user code to say how the attempt ends."""


class Retry(TaskVerdict):
    """Run the task again later, whatever the retry policy says.

    Args:
        reason: kept as the task's last error.
        delay: seconds (or a timedelta) until the next attempt; without it the task's own policy decides.
        exc: what went wrong: its type and text are kept as the task's last error.
        when: Celery's word for `delay`; it may also be a moment.
        max_retries: how many retries the task may have, if not what its options say.

    Example:
        >>> raise Retry("the other side is busy", delay=30)   # doctest: +SKIP
    """

    def __init__(
        self,
        reason: str = "",
        exc: BaseException | None = None,
        when: float | timedelta | datetime | None = None,
        *,
        delay: float | timedelta | None = None,
        max_retries: int | None = None,
    ) -> None:
        super().__init__(reason or "retry")
        self.reason = reason or "retry"
        if isinstance(when, datetime):
            when = max(0.0, when.timestamp() - time.time())
        later = when if delay is None else delay
        self.delay = later.total_seconds() if isinstance(later, timedelta) else later
        self.exc = exc
        self.max_retries = max_retries


class Snooze(TaskVerdict):
    """Not now: run the task again later. The attempt has not failed: it spends no retry and leaves no record.
    How often that may happen has no limit.

    Args:
        delay: seconds (or a timedelta) until it is run again.

    Example:
        >>> raise Snooze(delay=300)   # doctest: +SKIP
    """

    def __init__(self, delay: float | timedelta) -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        super().__init__(f"snoozed for {seconds} s")
        self.delay = seconds


class Reject(TaskVerdict):
    """Archive the task now, with the reason as its error, without another attempt.

    Args:
        reason: kept as the task's error.
        requeue: Celery's: True gives a `Snooze` instead, so that the task is run again at once.
    """

    def __new__(cls, reason: object = "", requeue: bool = False) -> Any:
        """See above."""
        return Snooze(0) if requeue else super().__new__(cls, reason)

    def __init__(self, reason: object = "", requeue: bool = False) -> None:
        text = str(reason or "rejected")
        super().__init__(text)
        self.reason = text


class Cancel(TaskVerdict):
    """The task cancels itself: it is archived as one that somebody has cancelled is, with the reason as its error.

    Args:
        reason: kept as the task's error.

    Example:
        >>> raise Cancel("the order was withdrawn")   # doctest: +SKIP
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "cancelled")
        self.reason = reason or "cancelled"


# --- Celery's names -----------------------------------------------------------------------------------------

CELERYS = {
    "AlreadyRegistered": "TaskAlreadyRegistered",
    "CeleryError": "TaskFlowError",
    "ImproperlyConfigured": "ConfigurationError",
    "MaxRetriesExceededError": "MaxRetriesExceeded",
    "NotRegistered": "TaskNotRegistered",
    "OperationalError": "BrokerUnavailable",
    "SoftTimeLimitExceeded": "TaskTimeout",
    "TimeoutError": "ResultTimeout",
}
"""Celery's exceptions, and what each is here: either name may be imported."""

NOT_CELERYS = {
    "BackendError": "results are kept with their tasks; what get() raises is below ResultError",
    "ChordError": "chords are not there yet",
    "Ignore": "a task that wants no verdict returns, or raises Cancel, which archives it without a failure",
    "TaskRevokedError": "a task that is cancelled is archived: get() raises TaskFailed",
    "Terminated": "a task that is cancelled is told by TaskCancelled",
    "TimeLimitExceeded": "the process of a task that overruns its hard limit is killed, and catches nothing",
    "WorkerLostError": "a task whose process died is run again, and archived after three times: get() raises TaskFailed",
}
"""Celery's exceptions that there are not, and what happens instead."""


def __getattr__(name: str) -> type[BaseException]:
    if name in CELERYS:
        return globals()[CELERYS[name]]  # type: ignore[no-any-return]
    if name in NOT_CELERYS:
        # Not an AttributeError: of that, `from taskflow.errors import Ignore` would show nothing.
        raise ImportError(f"taskflow.errors has no {name}: {NOT_CELERYS[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
