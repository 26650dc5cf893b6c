"""Tells what happens to attempts, as events. What ends one is told after its verdict is sent: no listener can keep it back.

`Received` and `Started` come before there is a verdict. From `Started` on, the events of an attempt are told in its context: what
a listener leaves in context variables then, the task has; and what the task leaves there, whoever hears of its end.
"""

from __future__ import annotations

from collections import deque
from contextvars import Context

from ..errors import Cancel, MessageError, TaskCancelled, TaskTimeout
from ..message.outcome import Outcome
from ..message.task_message import TaskMessage
from ..pipe.frames import Job
from ..states import Verb
from ..telemetry import events
from ..telemetry.events import Event, emit
from ..telemetry.telling import Audience
from ..telemetry.traces import kind_of, stand_in
from .attempt import Attempt, stored_id
from .outcome import OUR_WORDS, shown

NO_MESSAGE = "it is no message"

Who = tuple[str, str, str, int]
"""Name, id, queue, and how often it was retried: as the events of a task begin."""


class Reporter:
    """Tells of the attempts of one pipeline. Any thread may use it.

    Args:
        error_text: whether the texts of exceptions may be told. If not, events have exceptions without them.
        audience: of the app, whose listeners are told.
    """

    def __init__(self, *, error_text: bool = True, audience: Audience | None = None) -> None:
        self._error_text = error_text
        self._audience = audience
        self._untold: deque[Event] = deque()
        """What was decided before a function was called. Its verdict goes first."""

    # --- before the verdict -----------------------------------------------------------------------------------

    def received(self, attempt: Attempt) -> None:
        """It can be run. Called where somebody listens: this is on the way of every task. So it is with `started`."""
        emit(events.Received(*_who(attempt)), self._audience)

    def started(self, attempt: Attempt) -> None:
        """Its function is called now."""
        emit(events.Started(*_who(attempt)), self._audience)

    # --- after the verdict ------------------------------------------------------------------------------------

    def ended(self, attempt: Attempt, outcome: Outcome, context: Context | None = None) -> None:
        """An attempt has its outcome, which is sent.

        Args:
            attempt: the attempt.
            outcome: how it ended.
            context: the attempt's, unless this is called in it.
        """
        if self._untold:
            self.tell()
        error = attempt.error
        if attempt.asked is TaskTimeout and events.TimedOut.heard:
            self._emit_in(context, events.TimedOut(*_who(attempt)))
        if error is None:
            if attempt.returned and events.Succeeded.heard:
                self._emit_in(context, events.Succeeded(*_who(attempt), outcome.seconds))
            if attempt.plan.task._hooks:
                self._call_hooks(context, attempt, None, outcome)
            return
        attempt.error = None  # its frames refer to the attempt
        who = _who(attempt)
        if events.Cancelled.heard and (attempt.asked is TaskCancelled or isinstance(error, Cancel)):
            self._emit_in(context, events.Cancelled(*who))
        task = attempt.plan.task
        expected = isinstance(shown(error), task._throws)
        event = self._failure(who, task._source, error, outcome, ran=attempt.returned, expected=expected)
        if event is not None:
            self._emit_in(context, event)
        if task._hooks:
            self._call_hooks(context, attempt, shown(error), outcome)

    def tell(self) -> None:
        """Tell what has been decided without calling a function. Outcomes of `receive` are followed by this."""
        while True:
            try:
                event = self._untold.popleft()
            except IndexError:
                return
            emit(event, self._audience)

    # --- decided without calling a function: told by `tell`, or with the end of an attempt ------------------------

    def unrun(
        self, job: Job, message: TaskMessage, source: str, error: BaseException, outcome: Outcome
    ) -> None:
        """It is not to be run (any more), which is a failure.

        Args:
            job: its job.
            message: its message.
            source: the file of the task's function.
            error: what it fails with.
            outcome: what becomes of it.
        """
        who = _who_of(job, message)
        if events.TimedOut.heard and not job.failure:  # else the worker has told it
            self._untold.append(events.TimedOut(*who))
        if (event := self._failure(who, source, error, outcome)) is not None:
            self._untold.append(event)

    def expired(self, attempt: Attempt) -> None:
        """It was to start by a certain time, and did not."""
        if events.Expired.heard:
            self._untold.append(events.Expired(*_who(attempt)))

    def cancelled(self, attempt: Attempt) -> None:
        """It was cancelled before it started."""
        who = _who(attempt)
        if events.Cancelled.heard:
            self._untold.append(events.Cancelled(*who))
        if events.Archived.heard:
            self._untold.append(events.Archived(*who, error=TaskCancelled("cancelled")))

    def put_back(self, job: Job, message: TaskMessage, why: str, outcome: Outcome) -> None:
        """Nobody here can run it."""
        if events.PutBack.heard:
            self._untold.append(events.PutBack(*_who_of(job, message), why, outcome.delay))

    def refused(self, job: Job, message: TaskMessage, error: MessageError, count: int) -> None:
        """What was not signed by us is not even decoded."""
        if events.Unread.heard:
            kind, reason = why_refused(error), str(error)
            unread = events.Unread(*_who_of(job, message), kind=kind, reason=reason, count=count)
            self._untold.append(unread)

    def unreadable(self, job: Job) -> None:
        """The stored bytes are no message."""
        if events.Unread.heard:
            unread = events.Unread(*_who_of(job, None), kind="unreadable", reason=NO_MESSAGE)
            self._untold.append(unread)

    def unprepared(self, job: Job, error: BaseException) -> None:
        """Reading it failed in a way that nobody has thought of."""
        if events.Unread.heard:
            who, reason = _who_of(job, None), unprepared(error)
            unread = events.Unread(*who, error=stand_in(error), kind="unprepared", reason=reason)
            self._untold.append(unread)

    def policy_raised(self, message: TaskMessage, error: BaseException) -> None:
        """A retry policy of the user's."""
        if events.PolicyRaised.heard:
            self._untold.append(events.PolicyRaised(message.type, self._shown(error)))

    # --- what no task waits for ---------------------------------------------------------------------------------

    def left_behind(self, error: BaseException) -> None:
        """A coroutine that a task has left behind on the event loop failed."""
        if events.LeftBehind.heard:
            emit(events.LeftBehind(self._shown(error)), self._audience)

    def loop_reports(self, text: str) -> None:
        """asyncio says something about what a task has left behind."""
        emit(events.LeftBehind(text=text), self._audience)

    # ------------------------------------------------------------------------------------------------------------

    def _failure(
        self,
        who: Who,
        source: str,
        error: BaseException,
        outcome: Outcome,
        *,
        ran: bool = False,
        expected: bool = False,
    ) -> Event | None:
        """What to tell of an attempt that raised; None: nobody listens."""
        error = shown(error)
        if outcome.verb == Verb.RETRY:
            if not events.Retried.heard:
                return None
            return events.Retried(
                *who, outcome.seconds, self._shown(error), outcome.delay, source, expected=expected
            )
        if outcome.verb == Verb.SNOOZE:
            return events.Snoozed(*who, outcome.seconds, outcome.delay) if events.Snoozed.heard else None
        kind = events.ResultLost if ran else events.Archived
        return kind(*who, outcome.seconds, self._shown(error), source, expected) if kind.heard else None

    def _call_hooks(
        self, context: Context | None, attempt: Attempt, error: BaseException | None, outcome: Outcome
    ) -> None:
        """Call what the task's class has for the end of an attempt."""
        # Only here: few tasks have any.
        from .after import after

        if context is None:
            after(attempt, error, outcome, self._hook_raised)
        else:
            context.run(after, attempt, error, outcome, self._hook_raised)

    def _hook_raised(self, task: str, hook: str, error: BaseException) -> None:
        if events.HookRaised.heard:
            emit(events.HookRaised(task, hook, self._shown(error)), self._audience)

    def _emit_in(self, context: Context | None, event: Event) -> None:
        if context is None:
            emit(event, self._audience)
        else:
            context.run(emit, event, self._audience)

    def _shown(self, error: BaseException) -> BaseException:
        """The exception as listeners may have it: with `error_text=False` a handler that prints it must find no text."""
        return error if self._error_text else stand_in(error, OUR_WORDS)


def why_refused(error: MessageError) -> str:
    """A word for why a message may not be read."""
    return str(getattr(error, "reason", type(error).__name__))


def unprepared(error: BaseException) -> str:
    """What is said of a message that could not be read, in a way that nobody has thought of."""
    return f"it cannot be prepared ({kind_of(error)})"


def unexpected(error: BaseException) -> None:
    """The machinery itself failed: it goes on."""
    emit(events.Unexpected(error))


def _who(attempt: Attempt) -> Who:
    kind = attempt.plan.message
    return kind.type, attempt.id, attempt.job.queue, kind.retried


def _who_of(job: Job, message: TaskMessage | None) -> Who:
    name, retried = ("", 0) if message is None else (message.type, message.retried)
    return name, stored_id(job), job.queue, retried
