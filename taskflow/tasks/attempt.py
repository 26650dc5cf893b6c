"""One attempt at a job on its way through the pipeline, and how messages of its kind are run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..errors import TaskCancelled
from ..message.outcome import FollowUp
from ..message.task_message import TaskMessage
from ..options import DEFAULT_TIMEOUT
from ..pipe.frames import Job
from ..telemetry.counts import Tally
from . import context
from .delivery import Delivery
from .outcome import would_end
from .task import BaseTask
from .task_reports import ReportDesk, TaskReports

LONGEST_LIMIT = 100 * 366 * 86400.0
"""Seconds: Go may store limits that neither Python's dates nor the shared marks can hold."""

HARD_MARGIN = 30
"""Seconds that a task may go on after its soft limit before its process is killed, unless it has a
`hard_timeout`.
"""


class Plan:
    """How messages of one kind are run: what is the same for all that differ in id and payload only.

    Args:
        task: the task that they are calls of.
        message: one of them.
        soft_seconds: the soft limit, from the start of an attempt.
        hard_seconds: the hard limit, likewise.
        tally: where they are counted.
        desk: what they report to while they run.
    """

    __slots__ = ("bare", "desk", "hard_ns", "hard_seconds", "message", "soft_seconds", "tally", "task")

    def __init__(
        self,
        task: BaseTask[Any, Any],
        message: TaskMessage,
        soft_seconds: float,
        hard_seconds: float,
        tally: Tally,
        desk: ReportDesk,
    ) -> None:
        self.task = task
        self.desk = desk
        self.tally = tally
        self.message = message
        self.soft_seconds = soft_seconds
        self.hard_seconds = hard_seconds
        self.hard_ns = int(hard_seconds * 1e9)
        self.bare = False
        """Whether a message of this kind without arguments has been decoded, so that the next one need not be."""


class Attempt(msgspec.Struct, eq=False):
    """A job on its way through the pipeline. (A struct, since that is made in a third of the time of an object.)

    Args:
        job: what the worker sent.
        plan: how it is run.
        payload: its arguments, as they are stored.
        _message: its message, where that has been decoded already.
    """

    job: Job
    plan: Plan
    payload: bytes | None
    _message: TaskMessage | None = None
    kwargs: dict[str, Any] = {}
    started_at: float = 0.0
    """Monotonic seconds."""
    asked: type[BaseException] | None = None
    """What was raised in the task from outside: its soft limit, or a cancel."""
    error: BaseException | None = None
    """What it failed with, for the log; until that is written."""
    returned: bool = False
    """Whether the task has returned."""
    failed: bool = False
    """Whether it has failed, or was ended before it began."""
    value: Any = None
    """What it has returned; kept where hooks are told of it."""
    _current: context.CurrentTask | None = None
    _followers: list[FollowUp] = []
    """Made here: two threads of a task may ask for it at once, and are given a `CurrentTask` each, but one list."""

    @property
    def message(self) -> TaskMessage:
        """The whole message. Most attempts end without anybody asking for it."""
        if self._message is None:
            self._message = TaskMessage.decode(self.job.message)
        return self._message

    @property
    def id(self) -> str:
        """The id under which the task is stored, whatever its message says."""
        return stored_id(self.job)

    @property
    def limit(self) -> str:
        """Which limit has passed when its time is up, in words."""
        message, soft = self.plan.message, self.plan.soft_seconds
        if message.deadline > 0 and not 0 < message.timeout <= soft:
            passed = datetime.fromtimestamp(message.deadline, UTC)
            return f"the deadline {passed:%Y-%m-%d %H:%M:%S} UTC passed while the task ran"
        return f"time limit of {soft:g} s exceeded"

    @property
    def later(self) -> BaseException | None:
        """The retry that the task has asked for and not raised."""
        current = self._current
        return current._later[-1] if current is not None and current._later else None

    @property
    def followers(self) -> tuple[FollowUp, ...]:
        """What the task has added to follow it."""
        return tuple(self._followers) if self._followers else ()

    def current(self) -> context.CurrentTask:
        """The attempt as the task sees it."""
        if self._current is None:
            message = self.message
            began = time.time() - (time.monotonic() - self.started_at)
            self._current = context.CurrentTask(
                id=self.id,
                name=message.type,
                queue=self.job.queue,
                retried=message.retried,
                max_retries=message.max_retries,
                deadline=datetime.fromtimestamp(began + self.plan.soft_seconds, UTC),
                headers=message.headers,
                _followers=self._followers,
                _task=self.plan.task,
                _delivery=Delivery(
                    self.kwargs,
                    self.plan.soft_seconds,
                    self.plan.hard_seconds,
                    self.job.expires_at_ms,
                    eager=self.job.number == 0,
                ),
                _attempt=self,
            )
        return self._current

    # --- what the task says of itself -----------------------------------------------------------------------

    @property
    def reports(self) -> TaskReports:
        """What the attempt reports to."""
        return self.plan.desk.of(self)

    @property
    def where(self) -> tuple[int, str, bytes, int]:
        """The job's number, its queue, the task's id, and how often it was retried."""
        return self.job.number, self.job.queue, self.job.id, self.plan.message.retried

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.returned or self.failed

    def would_end(self, error: BaseException) -> bool:
        """Whether the task has failed for good if the attempt raises this."""
        now = time.time()
        if self.is_cancelled:
            return True
        seconds = time.monotonic() - self.started_at
        return would_end(self.job, self.message, error, self.plan.task._policy, now, seconds)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has asked for its end."""
        return self.asked is TaskCancelled or self.plan.desk.is_cancelled(self)

    @property
    def log_level(self) -> int:
        """From which level on what it logs is kept with it; 0: from none."""
        return self.plan.task._options.log_lines or 0


def stored_id(job: Job) -> str:
    """The id under which a task is stored, as text."""
    return job.id.decode("utf-8", "backslashreplace")


def soft_limit(message: TaskMessage, now: float) -> float:
    """Seconds that the attempt may take: the timeout, or what is left until the deadline (Asynq's rule)."""
    limits = []
    if message.timeout > 0:
        limits.append(float(message.timeout))
    if message.deadline > 0:
        limits.append(message.deadline - now)
    return min(*limits, LONGEST_LIMIT) if limits else float(DEFAULT_TIMEOUT)
