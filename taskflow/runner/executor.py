"""The straight pipeline of one attempt: read the message, find the task, decode, call, decide the outcome."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from .. import context
from ..errors import DecodeError, MessageError, NotForThisWorker, TaskTimeout
from ..message.payload import encode_result
from ..message.seal import CONTENT_TYPE_HEADER, NO_KEYS, Seal
from ..message.split import split
from ..message.task_message import TaskMessage
from ..pipe.frames import Job, Outcome
from ..task import BaseTask
from ..telemetry.logs import place
from . import outcome

logger = logging.getLogger("taskflow.task")

DEFAULT_TIMEOUT = 1800
"""Seconds: a message without timeout and deadline gets Asynq's half hour."""

LONGEST_LIMIT = 100 * 366 * 86400.0
"""Seconds: Go may store limits that neither Python's dates nor the shared page can hold."""

HARD_MARGIN = 30
"""Seconds that a task may go on after its soft limit before its process is killed, unless it has a
`hard_timeout`.
"""


MOST_PLANS = 1000
"""Kinds of messages whose plans are remembered. There are as many as tasks and options that callers give to them."""


class Plan:
    """How messages of one kind are run: what is the same for all that differ in id and payload only.

    Args:
        task: the task that they are calls of.
        message: one of them.
        soft: the soft limit, in seconds from the start of an attempt.
        hard: the hard limit, likewise.
    """

    __slots__ = ("hard", "hard_ns", "message", "soft", "task")

    def __init__(self, task: BaseTask[Any, Any], message: TaskMessage, soft: float, hard: float) -> None:
        self.task = task
        self.message = message
        self.soft = soft
        self.hard = hard
        self.hard_ns = int(hard * 1e9)


class Attempt:
    """A job on its way through the pipeline.

    Args:
        job: what the worker sent.
        plan: how it is run.
        payload: its arguments, as they are stored.
        message: its message, where that has been decoded already.
    """

    __slots__ = ("_current", "_message", "job", "kwargs", "payload", "plan", "started")

    def __init__(
        self, job: Job, plan: Plan, payload: bytes | None, message: TaskMessage | None = None
    ) -> None:
        self.job = job
        self.plan = plan
        self.payload = payload
        self.kwargs: dict[str, Any] = {}
        self.started = 0.0
        """Monotonic seconds."""
        self._message = message
        self._current: context.CurrentTask | None = None

    @property
    def message(self) -> TaskMessage:
        """The whole message. Most attempts end without anybody asking for it."""
        if self._message is None:
            self._message = TaskMessage.decode(self.job.message)
        return self._message

    @property
    def id(self) -> str:
        """The id that the message gives itself."""
        return self._message.id if self._message is not None else self.job.id.decode()

    def current(self) -> context.CurrentTask:
        """The attempt as the task sees it."""
        if self._current is None:
            message = self.message
            began = time.time() - (time.monotonic() - self.started)
            self._current = context.CurrentTask(
                id=message.id,
                name=message.type,
                queue=message.queue,
                retried=message.retried,
                max_retries=message.max_retries,
                deadline=datetime.fromtimestamp(began + self.plan.soft, UTC),
                headers=message.headers,
            )
        return self._current


class Executor:
    """Turns jobs into outcomes: `prepare`, `decode`, then the pool's call, then `succeed` or `fail`.

    Args:
        tasks: the app's tasks by name.
        seal: what the app's keys ask of a message; None: it has no keys.
        error_text: whether the text of an exception becomes the error of its task.
    """

    def __init__(
        self, tasks: dict[str, BaseTask[Any, Any]], seal: Seal | None = None, *, error_text: bool = True
    ) -> None:
        self._tasks = tasks
        self._seal = seal or NO_KEYS
        self._sealed = seal is not None
        self._error_text = error_text
        self._unknown: dict[bytes, int] = {}
        self._plans: dict[bytes, Plan] = {}
        self.refused = 0
        """How many messages were archived unread."""

    def prepare(self, job: Job) -> Attempt | Outcome:
        """Read the message and find its task; or the outcome of a job that cannot be run."""
        parts = split(job.message)
        if parts is not None:
            kind, id_, payload = parts
            plan = self._plans.get(kind)
            if plan is not None and id_ == job.id and not job.failure:
                attempt = Attempt(job, plan, payload)
                _tell(logging.INFO, "Task %s[%s] received", attempt)
                return attempt
        prepared = self._prepare(job)
        if parts is not None and isinstance(prepared, Attempt):
            self._remember(parts[0], prepared)
        return prepared

    def _prepare(self, job: Job) -> Attempt | Outcome:
        try:
            message = TaskMessage.decode(job.message)
        except DecodeError as error:
            logger.error("Task %s in queue %s is unreadable and was archived", _shown(job.id), job.queue)
            return outcome.unreadable(job.number, str(error))
        sealed = self._sealed or (message.headers and CONTENT_TYPE_HEADER in message.headers)
        if sealed:
            try:
                self._seal.check_signature(message, job.queue, job.id)
            except MessageError as error:
                return self._refuse(job, message, error)
        task = self._tasks.get(message.type)
        if task is None:
            return self._put_back(job, message)
        if sealed:
            try:
                self._seal.check_content(message, task.content_type)
            except NotForThisWorker as error:
                return self._put_back(job, message, str(error))
            except MessageError as error:
                return self._refuse(job, message, error)
        now = time.time()
        if job.failure:
            return self._report(job, message, task, TaskTimeout(job.failure), 0.0)
        soft = soft_limit(message, now)
        if soft <= 0:
            return self._report(
                job, message, task, TaskTimeout("the deadline had passed before the task started"), 0.0
            )
        hard = min(task.hard_limit(message, soft, HARD_MARGIN), 2 * LONGEST_LIMIT)
        attempt = Attempt(job, Plan(task, message, soft, hard), message.payload, message)
        _tell(logging.INFO, "Task %s[%s] received", attempt)
        return attempt

    def _remember(self, kind: bytes, attempt: Attempt) -> None:
        """Keep the plan for messages of the same kind, unless a kind like this one has hardly ever a second message.

        A message counts only if it is written as we write it: then nothing in `kind` can overrule the id and the payload.
        """
        message = attempt.message
        own = message.headers or message.deadline or message.unique_key or message.retried
        if own or self._sealed or message.encode() != attempt.job.message:
            return
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[kind] = attempt.plan

    def unprepared(self, job: Job, error: Exception) -> Outcome:
        """The outcome of a job at which `prepare` itself failed.

        Nothing that is stored may end the process: its jobs would go back, and end the next one.
        """
        logger.error(
            "Task %s in queue %s cannot be prepared and was archived",
            _shown(job.id),
            job.queue,
            exc_info=error,
        )
        return outcome.unreadable(job.number, f"it cannot be prepared ({type(error).__name__})")

    def decode(self, attempt: Attempt) -> Outcome | None:
        """Turn the payload into arguments; the outcome when they do not fit.

        Runs in the task's own thread or loop, since converting may be user code (pydantic's validators).
        """
        plan, payload = attempt.plan, attempt.payload
        try:
            if plan.message.headers:
                payload = self._seal.open(attempt.message, attempt.job.queue, attempt.job.id)
            attempt.kwargs = plan.task.decode(payload)
        except NotForThisWorker as error:
            return self._put_back(attempt.job, attempt.message, str(error))
        except MessageError as error:
            return self._refuse(attempt.job, attempt.message, error)
        except Exception as error:  # noqa: BLE001 - a validator may raise anything; the attempt still needs its verdict
            return self.fail(attempt, error)
        return None

    def succeed(self, attempt: Attempt, value: object) -> Outcome:
        """The call returned."""
        seconds = time.monotonic() - attempt.started
        kind, number = attempt.plan.message, attempt.job.number
        if kind.retention <= 0:
            _tell(logging.INFO, "Task %s[%s] succeeded in %.4fs", attempt, seconds)
            return outcome.done(number, kind.unique_key, seconds)
        message = attempt.message
        try:
            result = encode_result(value)
            if self._sealed:
                result = self._seal.close_result(message, attempt.job.queue, attempt.job.id, result)
        except Exception as error:  # noqa: BLE001 - a model's own serialiser may raise anything
            # It has run: another attempt would do the work again and fail in the same way.
            _tell(logging.ERROR, "Task %s[%s] ran, but its return value cannot be kept", attempt)
            return outcome.archived(number, message, self._text(error), error, time.time(), seconds)
        _tell(logging.INFO, "Task %s[%s] succeeded in %.4fs", attempt, seconds)
        return outcome.completed(number, message, result, time.time(), seconds)

    def fail(self, attempt: Attempt, error: BaseException) -> Outcome:
        """The call raised."""
        seconds = time.monotonic() - attempt.started
        return self._report(attempt.job, attempt.message, attempt.plan.task, error, seconds)

    # --------------------------------------------------------------------------------------------------------

    def _report(
        self, job: Job, message: TaskMessage, task: BaseTask[Any, Any], error: BaseException, seconds: float
    ) -> Outcome:
        try:
            text = self._text(error)
            verdict = outcome.failed(job, message, error, text, task.policy, time.time(), seconds)
        except Exception as broken:
            logger.exception("The retry policy of task %s raised", message.type)
            verdict = outcome.archived(job.number, message, self._text(broken), broken, time.time(), seconds)
        # The exception's text may hold an argument, so a log line has its type and place only; the text is in
        # the task.
        where = place(error, task.source)
        what = f"{type(error).__name__} at {where}" if where else type(error).__name__
        if verdict.verb == "r":
            _log(
                logging.WARNING,
                "Task %s[%s] failed in %.4fs: %s; next attempt in %.0fs",
                message,
                job.queue,
                seconds,
                what,
                verdict.at,
            )
        else:
            _log(
                logging.ERROR, "Task %s[%s] failed in %.4fs: %s; archived", message, job.queue, seconds, what
            )
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Traceback of task %s[%s]", message.type, message.id, exc_info=error)
        return verdict

    def _text(self, error: BaseException) -> str:
        return outcome.text_of(error, whole=self._error_text)

    def _refuse(self, job: Job, message: TaskMessage, error: MessageError) -> Outcome:
        """Archive a message unread: what was not signed by us is not even decoded."""
        self.refused += 1
        logger.error(
            "Task %s in queue %s was archived unread: %s (%d so far in this process)",
            _shown(job.id),
            job.queue,
            error,
            self.refused,
            extra={
                "facts": {
                    "id": _shown(job.id),
                    "queue": job.queue,
                    "reason": getattr(error, "reason", type(error).__name__),
                    "refused": self.refused,
                }
            },
        )
        return outcome.refused(job.number, message, error, time.time())

    def _put_back(self, job: Job, message: TaskMessage, why: str = "is not known to this app") -> Outcome:
        times = self._unknown.get(job.id, 0)
        if len(self._unknown) > 10_000:
            self._unknown.clear()
        self._unknown[job.id] = times + 1
        verdict = outcome.unknown(job.number, times)
        _log(
            logging.WARNING,
            "Task %s[%s] %s; put back for %.0fs, for a worker that can run it",
            message,
            job.queue,
            why,
            verdict.at,
        )
        return verdict


def soft_limit(message: TaskMessage, now: float) -> float:
    """Seconds that the attempt may take: the timeout, or what is left until the deadline (Asynq's rule)."""
    limits = []
    if message.timeout > 0:
        limits.append(float(message.timeout))
    if message.deadline > 0:
        limits.append(message.deadline - now)
    return min(*limits, LONGEST_LIMIT) if limits else float(DEFAULT_TIMEOUT)


def _tell(level: int, text: str, attempt: Attempt, *values: object) -> None:
    """Log about an attempt without decoding its message."""
    if logger.isEnabledFor(level):
        _write(level, text, attempt.plan.message, attempt.id, attempt.job.queue, values)


def _log(level: int, text: str, message: TaskMessage, queue: str, *values: object) -> None:
    if logger.isEnabledFor(level):
        _write(level, text, message, message.id, queue, values)


def _write(
    level: int, text: str, kind: TaskMessage, id_: str, queue: str, values: tuple[object, ...]
) -> None:
    """`kind` is the message, or another of its kind."""
    facts = {"task": kind.type, "id": id_, "queue": queue, "retried": kind.retried}
    if values and isinstance(values[0], float):
        facts["seconds"] = round(values[0], 6)
    logger.log(level, text, kind.type, id_, *values, extra={"facts": facts})


def _shown(task_id: bytes) -> str:
    return task_id.decode("utf-8", "backslashreplace")
