"""What becomes of a task whose attempt failed, or that is not run: the last step of the pipeline, where there is no result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import DecodeError, MessageError, NotForThisWorker, TaskTimeout
from ..message.content import is_in_store
from ..message.outcome import Outcome
from ..message.task_message import TaskMessage
from ..pipe.frames import Job, Refusal
from ..states import Verb
from ..telemetry.counts import Tallies
from ..telemetry.tracebacks import traceback_text
from ..telemetry.traces import kind_of
from . import outcome
from .attempt import stored_id
from .reporter import NO_MESSAGE, Reporter, unprepared, why_refused
from .retrying import is_last
from .task import BaseTask

MOST_UNKNOWN = 10_000
"""Tasks that were put back and whose delays grow. When there are more, all begin anew."""

Passes = Callable[[BaseException], bool]
"""Whether an exception is meant for whoever runs the pipeline, and no failure of its task."""


def passes_nothing(error: BaseException) -> bool:
    """As in a worker: whatever user code raises is a verdict."""
    return False


class Judge:
    """Decides, and runs nothing of the user's that could stop it.

    Args:
        reporter: is told what was decided without calling a function.
        tallies: where attempts are counted.
        error_text: whether the text of an exception becomes the error of its task.
        passes: see `Passes`.
    """

    def __init__(self, reporter: Reporter, tallies: Tallies, *, error_text: bool, passes: Passes) -> None:
        self._reporter = reporter
        self._tallies = tallies
        self._error_text = error_text
        self._passes = passes
        self._unknown: dict[bytes, int] = {}
        self._refused = 0

    def failed(
        self, job: Job, message: TaskMessage, task: BaseTask[Any, Any], error: BaseException, seconds: float
    ) -> Outcome:
        """The attempt raised: retried, snoozed or archived, as the exception and the task's policy say."""
        now = time.time()
        try:
            deciding = outcome.deciding(error)
            text = self.text(outcome.shown(deciding))
            trace = self.trace(error)
            if is_last(deciding, stored_id(job), message.retried):
                verdict = outcome.given_up(job.number, message, text, deciding, now, seconds, trace)
            else:
                verdict = outcome.failed(job, message, deciding, text, task._policy, now, seconds, trace)
        except BaseException as broken:
            if self._passes(broken):
                raise
            self._reporter.policy_raised(message, broken)
            text, trace = self.text(broken), self.trace(broken)
            verdict = outcome.given_up(job.number, message, text, broken, now, seconds, trace)
        if verdict.verb != Verb.SNOOZE:
            self._tallies.of(task.name).failed.append(seconds)
        return verdict

    def unrun(self, job: Job, message: TaskMessage, task: BaseTask[Any, Any], why: str) -> Outcome:
        """It is not to be run (any more), and fails with that."""
        error = TaskTimeout(why)
        judged = self.failed(job, message, task, error, job.ran_seconds)
        self._reporter.unrun(job, message, task._source, error, judged)
        return judged

    def refuse(self, job: Job, message: TaskMessage, error: MessageError) -> Outcome:
        """Archive a message unread: what was not signed by us is not even decoded."""
        self._refused += 1
        self._reporter.refused(job, message, error, self._refused)
        return outcome.refused(job.number, message, error, time.time())

    def put_back(self, job: Job, message: TaskMessage, why: str = "is not known to this app") -> Outcome:
        """Nobody here can run it: it waits, longer each time, for a worker that can."""
        verdict = self._later(job)
        self._reporter.put_back(job, message, why, verdict)
        return verdict

    def not_joined(self, job: Job, message: TaskMessage | None, error: BaseException) -> Refusal:
        """A member of a group that cannot be joined with the others: what becomes of it, and what is to be told of that.

        Args:
            job: the member.
            message: its message; None: it cannot be read.
            error: why.
        """
        if isinstance(error, DecodeError):
            return Refusal(outcome.unreadable(job.number, str(error)), NO_MESSAGE, "unreadable")
        if message is not None and not isinstance(error, MessageError) and is_in_store(message):
            # The store does not answer, which says nothing against the task. Its text may quote what it was asked for.
            return Refusal(
                self._later(job),
                f"is kept in a store, which has failed ({kind_of(error)})",
                "",
                message.type,
                message.retried,
            )
        if message is None or not isinstance(error, MessageError):
            reason = unprepared(error)
            return Refusal(outcome.unreadable(job.number, reason), reason, "unprepared")
        if isinstance(error, NotForThisWorker):
            return Refusal(self._later(job), str(error), "", message.type, message.retried)
        verdict = outcome.refused(job.number, message, error, time.time())
        return Refusal(verdict, str(error), why_refused(error), message.type, message.retried)

    def _later(self, job: Job) -> Outcome:
        times = self._unknown.get(job.id, 0)
        if len(self._unknown) > MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[job.id] = times + 1
        return outcome.unknown(job.number, times)

    def text(self, error: BaseException) -> str:
        """What is kept of an exception as the error of its task."""
        return outcome.text_of(error, whole=self._error_text)

    def trace(self, error: BaseException) -> str:
        """What is kept of an exception as the traceback of its attempt."""
        return traceback_text(error, whole=self._error_text)
