"""Coroutines run on one event loop, in a thread that starts with the first of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

from ...message.outcome import Outcome
from ...tasks.attempt import Attempt
from ...tasks.on_loop import LoopCall, LoopLimits, TaskCancelled
from ...tasks.run import Pipeline
from .slots import PoolSlots

Answer = Callable[[tuple[Any, BaseException | None]], None]
"""Takes a value, or an exception."""


class LoopPool:
    """Runs coroutine tasks, each in a slot of its own.

    Args:
        pipeline: runs each attempt.
        slots: shared with the threads.
        done: takes each outcome.
        dropped: takes the number of a job that was recalled when it was about to start.
        loop: runs already, for another purpose, and is used; None: one is made.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        slots: PoolSlots,
        done: Callable[[Outcome], None],
        dropped: Callable[[int], None],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._slots = slots
        self._done = done
        self._dropped = dropped
        self._backlog: deque[Attempt] = deque()
        self._woken = False
        self.answered = 0
        """The last question that the loop has answered."""
        self._limits: LoopLimits
        """Of the loop, once there is one."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._given = loop
        self._starting = threading.Lock()
        self._closed = False
        slots.on_free = self._wake
        slots.on_handed = self._handed

    def submit(self, attempt: Attempt) -> None:
        """Run the attempt as soon as a slot is free."""
        self._backlog.append(attempt)
        if self._loop is None:
            self._start()
        self._wake()

    def cancel(self, number: int) -> None:
        """Cancel the job of this number, if it runs here."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._limits.cancel, number)

    def interrupt(self) -> bool:
        """Cancel all that runs here, on the loop; whether something still did."""
        if self._loop is None:
            return False
        self._limits.cancel_all()
        return bool(self._limits.running)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, once there has been a coroutine."""
        return self._loop

    def head(self) -> Attempt | None:
        """What has waited longest."""
        try:
            return self._backlog[0]
        except IndexError:
            return None

    def ask(self, question: int, answer: Callable[[], None]) -> None:
        """Ask the loop, which calls `answer` as soon as it gets to it; `answered` is then the number of this question."""

        def tick() -> None:
            self.answered = question
            answer()

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has been closed: then there will be no answer
                self._loop.call_soon_threadsafe(tick)

    def wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine that is no task on the loop, for a thread: of a hook, or of a resource."""
        self._start()
        assert self._loop is not None, "it has just been started"
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _start(self) -> None:
        with self._starting:
            if self._loop is not None:
                return
            loop = self._given or asyncio.new_event_loop()
            if self._given is None:
                loop.set_exception_handler(self._report)
                threading.Thread(target=self._turn, args=(loop,), name="taskflow-loop", daemon=True).start()
            self._limits = LoopLimits(loop)
            self._loop = loop

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop for ever: what a task has left behind on it may stop it, or raise `SystemExit` out of it."""
        while not self._closed:
            try:
                loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - the next coroutine needs the loop
                self._pipeline.reporter.left_behind(error)
        loop.close()

    def _report(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A coroutine that a task has left behind failed. asyncio would log the exception with its text."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._pipeline.reporter.left_behind(error)
        else:
            self._pipeline.reporter.loop_reports(context.get("message", ""))

    def close(self) -> None:
        """End the loop, in tests: in a child it ends with its process."""
        if self._loop is not None:
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _wake(self) -> None:
        """Waking the loop costs more than a quick task does: many that come at once wake it once."""
        if self._backlog and self._loop is not None and not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._admit)

    def _handed(self, slot: int) -> None:
        assert self._loop is not None, "it has wanted one"
        self._loop.call_soon_threadsafe(self._admit_in, slot)

    def _admit(self) -> None:
        """Start what has a slot; what has none waits until it gets one."""
        self._woken = False
        while self._backlog:
            slot = self._slots.try_take()
            if slot is None and not self._slots.wanted:
                self._slots.wanted = True
                # One may have become free just before.
                slot = self._slots.try_take()
            if slot is None:
                return
            self._start_next(slot)
        self._slots.wanted = False

    def _admit_in(self, slot: int) -> None:
        """Start the next in this slot."""
        if self._backlog:
            self._start_next(slot)
        else:
            self._slots.give_back(slot)
        self._admit()

    def _start_next(self, slot: int) -> None:
        attempt = self._backlog.popleft()
        # Not `started_at`, which says that the coroutine was entered.
        if not self._slots.start(slot, attempt.job.number, attempt.plan.hard_ns):
            self._dropped(attempt.job.number)
            self._slots.give_back(slot)
            return
        calls = LoopCall(attempt, self._limits)
        # In a context of its own: what a task leaves in context variables is not for the next.
        task = calls.start(self._work(attempt, calls), Context())
        task.add_done_callback(partial(self._ended, calls, slot))

    async def _work(self, attempt: Attempt, calls: LoopCall) -> None:
        outcome = await self._pipeline.arun(attempt, calls.call)
        self._done(outcome)
        self._pipeline.reporter.ended(attempt, outcome)

    def _ended(self, calls: LoopCall, slot: int, task: asyncio.Task[None]) -> None:
        """Not in a `finally` of the coroutine: one that is cancelled before its first step is never entered."""
        attempt = calls.attempt
        calls.ended()
        if not attempt.started_at and (task.cancelled() or task.exception() is not None):
            outcome = self._pipeline.fail(attempt, TaskCancelled("cancelled"))
            self._done(outcome)
            self._pipeline.reporter.ended(attempt, outcome)
        self._slots.give_back(slot)

    # --- what a function in a thread has returned -------------------------------------------------------------

    def finish(self, attempt: Attempt, awaitable: Any) -> Any:
        """Await this on the loop, for the thread that runs the attempt: in its context, within its soft limit. The slot stays the
        thread's.

        Returns:
            What comes of it; or what it raises is raised here.
        """
        self._start()
        assert self._loop is not None, "it has just been started"
        answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._loop.call_soon_threadsafe(self._finish, attempt, awaitable, copy_context(), answer.put)
        value, error = answer.get()
        if error is not None:
            raise error
        return value

    def _finish(self, attempt: Attempt, awaitable: Any, own: Context, answer: Answer) -> None:
        calls = LoopCall(attempt, self._limits)
        task = calls.start(_answered(calls, awaitable, answer), own)
        task.add_done_callback(lambda task: self._finished(calls, answer))
        if attempt.is_cancelled:
            calls.cancel()  # between the two it ran nowhere

    def _finished(self, calls: LoopCall, answer: Answer) -> None:
        calls.ended()
        # Counts only if there has been none: it was cancelled before its first step.
        answer((None, TaskCancelled("cancelled")))


async def _answered(calls: LoopCall, awaitable: Any, answer: Answer) -> None:
    """Tell a thread what comes of what its function has returned: a value, or whatever it raises. The thread decides."""
    try:
        answer((await calls.finish(awaitable), None))
    except BaseException as error:  # noqa: BLE001 - raised again in the thread
        answer((None, error))
