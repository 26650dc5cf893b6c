"""The straight pipeline of one attempt: read the message, find the task, decode, call, decide the outcome."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .. import context
from ..errors import DecodeError, MessageError, NotForThisWorker, TaskTimeout
from ..message.payload import encode_result
from ..message.seal import CONTENT_TYPE_HEADER, NO_KEYS, Seal
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


@dataclass(slots=True)
class Attempt:
    """A job on its way through the pipeline. `soft` and `hard` are the limits, in seconds from its start."""

    job: Job
    message: TaskMessage
    task: BaseTask[Any, Any]
    soft: float
    hard: float
    kwargs: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0

    def current(self, now: float) -> context.CurrentTask:
        """The attempt as the task sees it."""
        message = self.message
        return context.CurrentTask(
            id=message.id,
            name=message.type,
            queue=message.queue,
            retried=message.retried,
            max_retries=message.max_retries,
            deadline=datetime.fromtimestamp(now + self.soft, UTC),
            headers=message.headers,
        )


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
        self.refused = 0
        """How many messages were archived unread."""

    def prepare(self, job: Job) -> Attempt | Outcome:
        """Read the message and find its task; or the outcome of a job that cannot be run."""
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
        _log(logging.INFO, "Task %s[%s] received", message, job.queue)
        hard = min(task.hard_limit(message, soft, HARD_MARGIN), 2 * LONGEST_LIMIT)
        return Attempt(job, message, task, soft, hard)

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
        job, message = attempt.job, attempt.message
        try:
            payload = self._seal.open(message, job.queue, job.id) if message.headers else message.payload
            attempt.kwargs = attempt.task.decode(payload)
        except NotForThisWorker as error:
            return self._put_back(job, message, str(error))
        except MessageError as error:
            return self._refuse(job, message, error)
        except Exception as error:  # noqa: BLE001 - a validator may raise anything; the attempt still needs its verdict
            return self.fail(attempt, error)
        return None

    def succeed(self, attempt: Attempt, value: object) -> Outcome:
        """The call returned."""
        seconds = time.monotonic() - attempt.started
        message, number = attempt.message, attempt.job.number
        result = b""
        if message.retention > 0:
            try:
                result = encode_result(value)
                if self._sealed:
                    result = self._seal.close_result(message, attempt.job.queue, attempt.job.id, result)
            except Exception as error:  # noqa: BLE001 - a model's own serialiser may raise anything
                # It has run: another attempt would do the work again and fail in the same way.
                _log(
                    logging.ERROR,
                    "Task %s[%s] ran, but its return value cannot be kept",
                    message,
                    attempt.job.queue,
                )
                return outcome.archived(number, message, self._text(error), error, time.time(), seconds)
        _log(logging.INFO, "Task %s[%s] succeeded in %.4fs", message, attempt.job.queue, seconds)
        return outcome.succeeded(number, message, result, time.time(), seconds)

    def fail(self, attempt: Attempt, error: BaseException) -> Outcome:
        """The call raised."""
        seconds = time.monotonic() - attempt.started
        return self._report(attempt.job, attempt.message, attempt.task, error, seconds)

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


def _log(level: int, text: str, message: TaskMessage, queue: str, *values: object) -> None:
    if logger.isEnabledFor(level):
        facts = {"task": message.type, "id": message.id, "queue": queue, "retried": message.retried}
        if values and isinstance(values[0], float):
            facts["seconds"] = round(values[0], 6)
        logger.log(level, text, message.type, message.id, *values, extra={"facts": facts})


def _shown(task_id: bytes) -> str:
    return task_id.decode("utf-8", "backslashreplace")
