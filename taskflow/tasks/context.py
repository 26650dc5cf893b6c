"""The running task, as its own code sees it: `taskflow.current_task()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from ..errors import NotInTask, Retry
from ..message.outcome import MOST_FOLLOWER_BYTES, MOST_FOLLOWERS, FollowUp
from ..message.task_message import TaskMessage


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The attempt that is running.

    Args:
        id: the id under which the task is stored.
        name: the task's name.
        queue: the queue it was taken from; of one with partitions, the partition.
        retried: how many attempts failed before this one.
        max_retries: how many retries it may have.
        deadline: when its soft time limit is (UTC).
        headers: what the caller put into `headers`.

    Example:
        >>> from taskflow import current_task
        >>> current_task().retried            # doctest: +SKIP
        0
    """

    id: str
    name: str
    queue: str
    retried: int
    max_retries: int
    deadline: datetime
    headers: Mapping[str, str]
    _followers: list[FollowUp] = field(default_factory=list, repr=False, compare=False)

    def _then(self, message: TaskMessage, at: float = 0.0) -> None:
        """Let a task follow this one. In a worker it is enqueued if this attempt ends the task well, and once; else it never is.

        Args:
            message: ready to be stored, with the queue in storage that it goes to.
            at: Unix seconds from which it may run; 0: at once.

        Raises:
            ValueError: it has a unique lock or a group, which a delivery knows nothing of, or these are too many.
        """
        if message.unique_key or message.group_key:
            raise ValueError(f"task {message.type} cannot follow: it has a unique lock or a group")
        encoded = message.encode()
        size = len(encoded) + sum(len(one.message) for one in self._followers)
        if len(self._followers) >= MOST_FOLLOWERS or size > MOST_FOLLOWER_BYTES:
            raise ValueError(
                f"task {message.type} cannot follow: {MOST_FOLLOWERS} tasks and {MOST_FOLLOWER_BYTES:,} bytes may follow another"
            )
        self._followers.append(FollowUp(message.queue, message.id, encoded, at))

    def retry(self, reason: str = "", *, delay: float | timedelta | None = None) -> NoReturn:
        """End this attempt and run the task again later, as `raise taskflow.Retry(reason, delay=...)` does.

        Args:
            reason: kept as the task's last error.
            delay: seconds or a timedelta; without it the task's retry policy decides.
        """
        raise Retry(reason, delay=delay)


_running: ContextVar[CurrentTask | Callable[[], CurrentTask]] = ContextVar("taskflow_current_task")


def current_task() -> CurrentTask:
    """The task that is running here.

    Raises:
        NotInTask: outside a task. Inside, it also works in the functions that the task calls, in coroutines, and in
            `asyncio.to_thread`; in a thread of the task's own, with `contextvars.copy_context().run`.
    """
    try:
        found = _running.get()
    except LookupError:
        raise NotInTask(
            "no task is running here: current_task() works inside a task only; a thread that a task starts has to be given its "
            "context: Thread(target=contextvars.copy_context().run, args=(function,)), or await asyncio.to_thread(function)"
        ) from None
    return _known(found)


def enter(task: CurrentTask | Callable[[], CurrentTask]) -> object:
    """Mark a task as the running one in this context; give what comes back to `leave`.

    Args:
        task: the task, or what makes it when somebody asks: most tasks never do.
    """
    return _running.set(task)


def leave(token: object) -> None:
    """Undo `enter`."""
    _running.reset(token)  # type: ignore[arg-type]


def direct(message: TaskMessage) -> CurrentTask:
    """A running task that stands for a call no worker makes: of the function itself, or in eager mode."""
    return CurrentTask(
        id=message.id,
        name=message.type,
        queue=message.queue,
        retried=0,
        max_retries=message.max_retries,
        deadline=datetime.now(UTC) + timedelta(seconds=message.timeout or 86400),
        headers=message.headers,
    )


def running(name: str) -> CurrentTask | None:
    """The running task, if it is of this name."""
    found = _running.get(None)
    task = None if found is None else _known(found)
    return task if task is not None and task.name == name else None


def _known(task: CurrentTask | Callable[[], CurrentTask]) -> CurrentTask:
    return task if isinstance(task, CurrentTask) else task()
