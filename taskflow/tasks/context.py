"""The running task, as its own code sees it: `taskflow.current_task()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

from ..errors import NotInTask, Retry
from ..message.outcome import MOST_FOLLOWER_BYTES, MOST_FOLLOWERS, FollowUp
from ..message.task_message import TaskMessage
from . import retrying
from .speaking import Attempting, Speaking

if TYPE_CHECKING:
    from .delivery import Delivery
    from .request import Request


@dataclass(frozen=True, slots=True)
class CurrentTask(Speaking):
    """The attempt that is running.

    Args:
        id: the id under which the task is stored.
        name: the task's name.
        queue: the queue it was taken from; of one with partitions, the partition.
        retried: how many attempts failed before this one.
        max_retries: how many retries it may have.
        deadline: when its soft time limit is (UTC).
        headers: what the caller put into `headers`.

    What the task itself has (`app`, `delay`, `apply_async`, ...) is found here too, as on Celery's `self`.

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
    _attempt: Attempting | None = field(default=None, repr=False, compare=False)
    _task: Any = field(default=None, repr=False, compare=False)
    """The task that it is an attempt at, where that is known."""
    _delivery: Delivery | None = field(default=None, repr=False, compare=False)
    """None: no worker has brought it, the function was called."""
    _later: list[Retry] = field(default_factory=list, repr=False, compare=False)
    """What `retry(throw=False)` has asked for."""

    @property
    def request(self) -> Request:
        """Celery's name for the facts about this attempt: `self.request.id`, `self.request.retries`, ... See docs/celery.md."""
        # Only here: most tasks never look.
        from .request import Request

        return Request(self, self._delivery)

    if not TYPE_CHECKING:  # who checks types is to hear of a name that is misspelt

        def __getattr__(self, name: str) -> Any:
            task = None if name.startswith("_") else self._task
            if task is not None:
                return getattr(task, name)
            raise AttributeError(f"the running task {self.name!r} has no attribute {name!r}")

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

    @overload
    def retry(
        self,
        reason: str = "",
        *,
        delay: float | timedelta | None = None,
        exc: BaseException | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
        throw: Literal[True] = True,
    ) -> NoReturn: ...
    @overload
    def retry(
        self,
        reason: str = "",
        *,
        delay: float | timedelta | None = None,
        exc: BaseException | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
        throw: bool,
    ) -> Retry: ...
    def retry(
        self,
        reason: str = "",
        *,
        delay: float | timedelta | None = None,
        exc: BaseException | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        max_retries: int | None = None,
        throw: bool = True,
        **others: Any,
    ) -> Retry:
        """End this attempt and run the task again later, as `raise taskflow.Retry(reason, delay=...)` does.

        Args:
            reason: kept as the task's last error, where there is no `exc`.
            delay: seconds or a timedelta; without it the task's retry policy decides.
            exc: what went wrong; it is raised when no retry is left, and the task is archived with it.
            countdown: Celery's word for `delay`.
            eta: when the next attempt is to be, instead.
            max_retries: how many retries the task may have, if not what its options say.
            throw: False: give back what would be raised. The attempt goes on; when it returns, the task is run again, and when
                it raises, that decides.

        Raises:
            Retry: the attempt ends. In a call of the function that no worker makes, `exc` if it is given.
            MaxRetriesExceeded: no retry is left, and there is neither an `exc` nor a reason.
            UnknownOption: other arguments, queues or options are asked for.

        Example:
            >>> @app.task(bind=True, max_retries=5)                        # doctest: +SKIP
            ... def fetch(self, url: str) -> str:
            ...     try:
            ...         return get(url)
            ...     except OSError as error:
            ...         self.retry(exc=error, countdown=2 ** self.request.retries)
        """
        retrying.refuse(self.name, others)
        if self._delivery is None and exc is not None:
            raise exc
        asked = retrying.asked(
            self.id,
            self.name,
            self.retried,
            self.max_retries,
            reason,
            delay=delay,
            exc=exc,
            countdown=countdown,
            eta=eta,
            most=max_retries,
        )
        if throw:
            raise asked from exc
        self._later.append(asked)
        return asked


_running: ContextVar[CurrentTask | Callable[[], CurrentTask]] = ContextVar("taskflow_current_task")


class _Current:
    """`current_task()`: the task that is running here. As with Celery's, `current_task.request` is its, and it is true there.

    Raises:
        NotInTask: outside a task. Inside, it also works in the functions that the task calls, in coroutines, and in
            `asyncio.to_thread`; in a thread of the task's own, with `contextvars.copy_context().run`.
    """

    __slots__ = ()
    __name__ = "current_task"

    def __call__(self) -> CurrentTask:
        """The task that is running here.

        Raises:
            NotInTask: outside a task.
        """
        try:
            found = _running.get()
        except LookupError:
            raise NotInTask(
                "no task is running here: current_task() works inside a task only; a thread that a task starts has to be "
                "given its context: Thread(target=contextvars.copy_context().run, args=(function,)), or "
                "await asyncio.to_thread(function)"
            ) from None
        return _known(found)

    def __bool__(self) -> bool:
        return is_in_task()

    def __repr__(self) -> str:
        return "<current_task>"

    def __reduce__(self) -> str:
        return self.__name__

    if not TYPE_CHECKING:  # who checks types is to hear of a name that is misspelt

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or not is_in_task():
                raise AttributeError(f"current_task has no attribute {name!r} here: no task is running")
            return getattr(self(), name)


current_task = _Current()


def is_in_task() -> bool:
    """Whether a task is running here."""
    return _running.get(None) is not None


def enter(task: CurrentTask | Callable[[], CurrentTask]) -> object:
    """Mark a task as the running one in this context; give what comes back to `leave`.

    Args:
        task: the task, or what makes it when somebody asks: most tasks never do.
    """
    return _running.set(task)


def leave(token: object) -> None:
    """Undo `enter`."""
    _running.reset(token)  # type: ignore[arg-type]


def direct(message: TaskMessage, task: Any = None) -> CurrentTask:
    """A running task that stands for a call of the function itself, which no worker makes."""
    return CurrentTask(
        id=message.id,
        name=message.type,
        queue=message.queue,
        retried=0,
        max_retries=message.max_retries,
        deadline=datetime.now(UTC) + timedelta(seconds=message.timeout or 86400),
        headers=message.headers,
        _task=task,
    )


def running_anything() -> CurrentTask | None:
    """The running task, if there is one."""
    found = _running.get(None)
    return None if found is None else _known(found)


def here() -> CurrentTask | None:
    """The running task, if one runs here."""
    found = _running.get(None)
    return None if found is None else _known(found)


def running(name: str) -> CurrentTask | None:
    """The running task, if it is of this name."""
    task = here()
    return task if task is not None and task.name == name else None


def _known(task: CurrentTask | Callable[[], CurrentTask]) -> CurrentTask:
    return task if isinstance(task, CurrentTask) else task()
