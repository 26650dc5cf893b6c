"""One attempt at a job on its way through the pipeline, and how messages of its kind are run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from ..message.outcome import FollowUp
from ..message.task_message import TaskMessage
from ..options import DEFAULT_TIMEOUT
from ..pipe.frames import Job
from ..telemetry.counts import Tally
from . import context
from .task import BaseTask

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
    """

    __slots__ = ("hard_ns", "hard_seconds", "message", "soft_seconds", "tally", "task")

    def __init__(
        self,
        task: BaseTask[Any, Any],
        message: TaskMessage,
        soft_seconds: float,
        hard_seconds: float,
        tally: Tally,
    ) -> None:
        self.task = task
        self.tally = tally
        self.message = message
        self.soft_seconds = soft_seconds
        self.hard_seconds = hard_seconds
        self.hard_ns = int(hard_seconds * 1e9)


class Attempt:
    """A job on its way through the pipeline.

    Args:
        job: what the worker sent.
        plan: how it is run.
        payload: its arguments, as they are stored.
        message: its message, where that has been decoded already.
    """

    __slots__ = (
        "_current",
        "_followers",
        "_message",
        "asked",
        "error",
        "job",
        "kwargs",
        "payload",
        "plan",
        "returned",
        "started_at",
    )

    def __init__(
        self, job: Job, plan: Plan, payload: bytes | None, message: TaskMessage | None = None
    ) -> None:
        self.job = job
        self.plan = plan
        self.payload = payload
        self.kwargs: dict[str, Any] = {}
        self.started_at = 0.0
        """Monotonic seconds."""
        self.asked: type[BaseException] | None = None
        """What was raised in the task from outside: its soft limit, or a cancel."""
        self.error: BaseException | None = None
        """What it failed with, for the log; until that is written."""
        self.returned = False
        """Whether the task has returned."""
        self._message = message
        self._current: context.CurrentTask | None = None
        self._followers: list[FollowUp] = []
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
    def followers(self) -> tuple[FollowUp, ...]:
        """What the task has added to follow it."""
        return tuple(self._followers)

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
            )
        return self._current


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
