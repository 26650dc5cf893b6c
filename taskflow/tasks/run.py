"""The one pipeline of an attempt at a task: receive, admit, decode, call, decide.

A child's threads, its event loop, `-P solo` and eager mode all run it; they say only how the function is called. Whatever user
code does on the way, there is an outcome: what decides runs nothing of the user's that could stop it, and what became of the
attempt is told after the outcome is sent (`reporter`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..connection.coroutines import in_thread
from ..errors import (
    Cancel,
    DecodeError,
    MessageError,
    NotForThisWorker,
    ResultNotSerializable,
    TaskCancelled,
)
from ..message.content import COMPRESSION_HEADER, CONTENT_TYPE_HEADER, JSON
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..message.outcome import Outcome, completed, done
from ..message.report import Report
from ..message.split import ends_of, payload_between, split_message
from ..message.task_message import TaskMessage
from ..pipe.frames import DEFAULT_MOST_MESSAGE, Job, Refusal
from ..telemetry.counts import Tallies
from ..telemetry.events import Received, Started
from ..telemetry.telling import Audience
from . import context, outcome, returned
from .attempt import HARD_MARGIN, LONGEST_LIMIT, Attempt, Plan, soft_limit
from .fetching import Tried, to_its_end, tried
from .judge import Judge, Passes, passes_nothing
from .log_lines import keep_log_lines
from .reporter import Reporter, unprepared
from .task import BaseTask
from .task_reports import ReportDesk

MOST_PLANS = 1000
"""Kinds of messages whose plans are remembered. There are as many as tasks and options that callers give to them."""

Call = Callable[[Attempt], Any]
"""Calls the function of an attempt, within its limits, and gives what it returned or raises what it raised."""

AsyncCall = Callable[[Attempt], Awaitable[Any]]
"""Calls the coroutine function of an attempt, and has its limit raised in it while it is awaited."""


class Pipeline:
    """Turns jobs into outcomes: `receive`, then `run`, or `arun` on an event loop; when the outcome has been sent,
    `reporter.ended`, or `reporter.tell` where `receive` gave it.

    Args:
        tasks: the app's tasks by name.
        crypto: what the app's keys ask of a message; None: it has no keys.
        error_text: whether the text of an exception becomes the error of its task.
        most: bytes that a result may have.
        passes: whether an exception is no failure of its task but meant for whoever runs the pipeline, and raised there. In a
            worker there is none: whatever user code raises is a verdict.
        tallies: where attempts are counted, if somebody takes the counts.
        audience: of the app, whose listeners hear of the attempts.
        on_report: takes what a running task says of itself; None: nobody wants any before its end.
        limited: whether time limits hold; not where a debugger may stop a task for as long as it likes.
    """

    def __init__(
        self,
        tasks: dict[str, BaseTask[Any, Any]],
        crypto: MessageCrypto | None = None,
        *,
        error_text: bool = True,
        most: int = DEFAULT_MOST_MESSAGE,
        passes: Passes = passes_nothing,
        tallies: Tallies | None = None,
        audience: Audience | None = None,
        on_report: Callable[[Report], None] | None = None,
        limited: bool = True,
    ) -> None:
        self._most = most
        self._limited = limited
        self._tasks = tasks
        self._crypto = crypto or NO_KEYS
        self._sealed = self._crypto.has_keys
        self._tallies = tallies or Tallies(taken=False)
        self._passes = passes
        self._plans: dict[bytes, Plan] = {}
        self._last: tuple[bytes, bytes, Plan] | None = None
        """The ends of the messages of the kind that came last, and its plan: in a batch nearly all are of one kind."""
        self.reporter = Reporter(error_text=error_text, audience=audience)
        self.desk = ReportDesk(crypto, on_report)
        self._judge = Judge(self.reporter, self._tallies, error_text=error_text, passes=passes)

    # --- receive --------------------------------------------------------------------------------------------

    def receive(self, job: Job) -> Attempt | Outcome:
        """Read the message and find its task; or the outcome of a job that cannot be run."""
        try:
            last = self._last
            if last is not None and not job.failure:
                head, tail, plan = last
                payload = payload_between(job.message, head, job.id, tail)
                if payload is not None:
                    attempt = Attempt(job, plan, payload or None)
                    if Received.heard:
                        self.reporter.received(attempt)
                    return attempt
            parts = split_message(job.message)
            if parts is not None:
                kind, id_, payload = parts
                known = self._plans.get(kind)
                if known is not None and id_ == job.id and not job.failure:
                    self._last = (*ends_of(job.message, kind), known)
                    attempt = Attempt(job, known, payload)
                    if Received.heard:
                        self.reporter.received(attempt)
                    return attempt
            received = self._read(job)
            if parts is not None and isinstance(received, Attempt):
                self._remember(parts[0], received)
            return received
        except BaseException as error:
            if self._passes(error):
                raise
            # Nothing that is stored may end the process: its jobs would go back, and end the next one.
            self.reporter.unprepared(job, error)
            return outcome.unreadable(job.number, unprepared(error))

    def _read(self, job: Job) -> Attempt | Outcome:
        try:
            message = TaskMessage.decode(job.message)
        except DecodeError as error:
            self.reporter.unreadable(job)
            return outcome.unreadable(job.number, str(error))
        sealed = self._sealed or (message.headers and CONTENT_TYPE_HEADER in message.headers)
        if sealed:
            try:
                self._crypto.check_signature(message, job.queue, job.id)
            except MessageError as error:
                return self._judge.refuse(job, message, error)
        task = self._tasks.get(message.type)
        if task is None:
            return self._judge.put_back(job, message)
        if sealed:
            try:
                self._crypto.check_content(message, task._content_type)
            except NotForThisWorker as error:
                return self._judge.put_back(job, message, str(error))
            except MessageError as error:
                return self._judge.refuse(job, message, error)
        now = time.time()
        if job.failure:
            return self._judge.unrun(job, message, task, job.failure)
        soft = soft_limit(message, now)
        if soft <= 0:
            return self._judge.unrun(job, message, task, "the deadline had passed before the task started")
        hard = min(task._hard_limit(message, soft, HARD_MARGIN), 2 * LONGEST_LIMIT)
        if task._options.log_lines:
            keep_log_lines()
        if not self._limited:
            soft, hard = LONGEST_LIMIT, 2 * LONGEST_LIMIT
        plan = Plan(task, message, soft, hard, self._tallies.of(task.name), self.desk)
        attempt = Attempt(job, plan, message.payload, message)
        if Received.heard:
            self.reporter.received(attempt)
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

    def open(self, job: Job) -> bytes | Refusal:
        """The plain arguments of a task that is not run itself but joined with others, which any task may be; or what becomes of
        it, by the rules for what is to be run. Nothing is told: another worker may be quicker to refuse it.
        """
        message: TaskMessage | None = None
        try:
            message = TaskMessage.decode(job.message)
            self._crypto.check(message, job.queue, job.id, JSON)
            return self._crypto.open(message, job.queue, job.id, self._most) or b"{}"
        except BaseException as error:  # noqa: BLE001 - whatever one member is, the others are joined
            return self._judge.not_joined(job, message, error)

    # --- run: admit, decode, call, decide -------------------------------------------------------------------

    def run(self, attempt: Attempt, call: Call) -> Outcome:
        """Run an attempt in this thread, from its start to its outcome.

        Args:
            attempt: what `receive` gave.
            call: how its function is called here.

        To be called in a context of the attempt's own (`Context().run`): what a task leaves in context variables is not for the
        next.
        """
        verdict = self._start(attempt)
        if verdict is not None:
            return verdict
        try:
            value = call(attempt)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too, is a verdict
            verdict = self.fail(attempt, error)
        else:
            verdict = self._succeed(attempt, value)
        return self.desk.ended(attempt, verdict) if self.desk.live else verdict

    async def arun(self, attempt: Attempt, call: AsyncCall) -> Outcome:
        """As `run`, on the running event loop, in an `asyncio.Task` that was given a context of its own."""
        message = attempt.plan.message
        opened = None
        if message.headers and self._crypto.is_in_store(message):
            opened = await in_thread(tried, self._open, attempt)
        verdict = self._start(attempt, opened)
        if verdict is not None:
            return verdict
        try:
            value = await call(attempt)
            while type(value) not in returned.PLAIN and returned.is_awaitable(value):
                value = await value
        except BaseException as error:  # noqa: BLE001 - likewise
            verdict = self.fail(attempt, error)
        else:
            if self._crypto.offload is not None and message.retention > 0:
                verdict = await to_its_end(self._succeed, attempt, value)
            else:
                verdict = self._succeed(attempt, value)
        return self.desk.ended(attempt, verdict) if self.desk.live else verdict

    def _start(self, attempt: Attempt, opened: Tried | None = None) -> Outcome | None:
        """Admit the attempt, and turn its payload into arguments; the outcome when it is too late to start, or they do not fit.

        In the task's own thread or loop, since converting may be user code (pydantic's validators), and in its context.

        Args:
            attempt: the attempt.
            opened: its plain payload, where that was fetched already, or what was raised instead.
        """
        if not attempt.started_at:  # else whoever marked the start looked at the clock
            attempt.started_at = time.monotonic()
        if self.desk.cancelled and attempt.is_cancelled:
            attempt.plan.tally.failed.append(0.0)
            self.reporter.cancelled(attempt)
            return outcome.cancelled(attempt.job.number, attempt.message, time.time())
        plan, payload, expires_at_ms = attempt.plan, attempt.payload, attempt.job.expires_at_ms
        if expires_at_ms and attempt.started_at * 1000 >= expires_at_ms:
            plan.tally.failed.append(0.0)
            self.reporter.expired(attempt)
            return outcome.expired(attempt.job.number, attempt.message, time.time())
        try:
            if plan.message.headers:
                payload = self._open(attempt) if opened is None else opened.get()
            empty = payload is None or payload == b"{}"
            if not (empty and plan.bare):
                attempt.kwargs = plan.task._decode(payload)
                plan.bare = plan.bare or (empty and not attempt.kwargs)
        except NotForThisWorker as error:
            return self._judge.put_back(attempt.job, attempt.message, str(error))
        except MessageError as error:
            return self._judge.refuse(attempt.job, attempt.message, error)
        except BaseException as error:  # noqa: BLE001 - a validator may raise anything; the attempt still needs its verdict
            return self.fail(attempt, error)
        context.enter(attempt.current)
        if Started.heard:
            self.reporter.started(attempt)
        return None

    def _open(self, attempt: Attempt) -> bytes | None:
        return self._crypto.open(attempt.message, attempt.job.queue, attempt.job.id, self._most)

    def _succeed(self, attempt: Attempt, value: object) -> Outcome:
        """The call returned."""
        if attempt._current is not None and (later := attempt.later) is not None:
            return self.fail(attempt, later)
        if attempt.plan.task._hooks:
            attempt.value = value
        seconds = time.monotonic() - attempt.started_at
        kind, number = attempt.plan.message, attempt.job.number
        attempt.returned = True
        tally = attempt.plan.tally
        if kind.retention <= 0 and type(value) in returned.PLAIN:
            tally.succeeded.append(seconds)
            return done(number, kind.unique_key, seconds, attempt.followers)
        message = attempt.message
        try:
            returned.refuse_lazy(value)
            result = b""
            if kind.retention > 0:
                message, result = self._result(attempt, value)
        except BaseException as error:
            if self._passes(error):
                raise
            # It has run: another attempt would do the work again and fail in the same way.
            attempt.error = error
            tally.failed.append(seconds)
            text, trace = self._judge.text(error), self._judge.trace(error)
            return outcome.given_up(number, message, text, error, time.time(), seconds, trace)
        tally.succeeded.append(seconds)
        if kind.retention <= 0:
            return done(number, kind.unique_key, seconds, attempt.followers)
        return completed(number, message, result, time.time(), seconds, attempt.followers)

    def _result(self, attempt: Attempt, value: object) -> tuple[TaskMessage, bytes]:
        """What is kept of what the task returned, and the message that goes with it."""
        message = attempt.message
        result = attempt.plan.task._returns.encode(value)
        if len(result) > self._most:
            raise ResultNotSerializable(
                f"the task returned {len(result):,} bytes of JSON, over the worker's limit of {self._most:,} (--max-message)"
            )
        if self._sealed or self._crypto.offload or COMPRESSION_HEADER in message.headers:
            return self._crypto.close_result(message, attempt.job.queue, attempt.job.id, result)
        return message, result

    def fail(self, attempt: Attempt, error: BaseException) -> Outcome:
        """The call raised, or the attempt was ended before it."""
        if self._passes(error):
            self.desk.live.pop(attempt, None)
            raise error
        attempt.failed = True
        attempt.started_at = attempt.started_at or time.monotonic()
        seconds = time.monotonic() - attempt.started_at
        if attempt.asked is TaskCancelled and not isinstance(error, TaskCancelled | Cancel):
            # Whatever the cancel became on its way through the task: to run it again is not what the operator wants.
            cancelled = TaskCancelled("cancelled")
            cancelled.__cause__ = error
            error = cancelled
        attempt.error = error
        return self._judge.failed(attempt.job, attempt.message, attempt.plan.task, error, seconds)
