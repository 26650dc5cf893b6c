"""Functions run in threads, which are started as they are needed and kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import Any

from ...errors import LazyResult, TaskCancelled, TaskTimeout
from ...pipe.frames import Outcome
from ...tasks import context
from ...tasks.returned import PLAIN, is_awaitable
from .. import lines
from ..attempt import Attempt
from ..executor import Executor
from ..limits import SoftLimits, ThreadLimit
from .slots import Slots


class ThreadPool:
    """Runs attempts in at most `size` threads.

    A thread that has come for work stays with it until nothing waits: while tasks are quick, one thread runs them all, and each
    costs no more than taking it from the queue. It calls one other for what waits behind its own, and that one calls the next
    as soon as it gets to run: when the first task waits for something.

    Args:
        size: threads.
        executor: decodes and decides.
        slots: shared with the event loop.
        done: takes each outcome.
        dropped: takes the number of a job that was recalled when it was about to start.
    """

    def __init__(
        self,
        size: int,
        executor: Executor,
        slots: Slots,
        done: Callable[[Outcome], None],
        dropped: Callable[[int], None],
    ) -> None:
        self._size = size
        self._executor = executor
        self._slots = slots
        self._done = done
        self._dropped = dropped
        self._queue: deque[Attempt] = deque()
        self._limits = SoftLimits()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0
        self._bell: SimpleQueue[None] = SimpleQueue()
        self.finish: Callable[[Attempt, Any], Any] = _nobody_awaits
        """Awaits on the event loop what a function has returned, within the attempt's limits, and gives the value."""
        self._called = False
        """Whether a thread has been called that has not come yet. It looks into the queue after it has cleared this."""

    def submit(self, attempt: Attempt) -> None:
        """Run the attempt as soon as a thread is free."""
        self._queue.append(attempt)
        if not self._called:
            self._call()

    def head(self) -> Attempt | None:
        """What has waited longest."""
        try:
            return self._queue[0]
        except IndexError:
            return None

    def run_here(self) -> None:
        """Lend the calling thread to the pool, for ever: `-P solo` runs tasks in the main thread, for
        debuggers.
        """
        self._threads.append(threading.current_thread())
        self._work()

    def cancel(self, task_id: bytes) -> None:
        """Raise `TaskCancelled` in the task, if it runs here."""
        self._limits.cancel(task_id, TaskCancelled)

    def _call(self) -> None:
        """Call a thread: an idle one, a new one, or else the first that has nothing to do."""
        with self._lock:
            if self._called:
                return
            self._called = True
            if self._idle or len(self._threads) >= self._size:
                self._bell.put(None)
                return
            thread = threading.Thread(target=self._work, name=f"taskflow-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        limit = ThreadLimit()
        self._limits.watch(limit)
        while True:
            self._called = False
            while self._queue:
                try:
                    self._serve(limit)
                except BaseException as error:  # noqa: BLE001 - a thread that ends takes a slot and a task with it
                    lines.unexpected(error)
            with self._lock:
                self._idle += 1
            self._bell.get()
            with self._lock:
                self._idle -= 1

    def _serve(self, limit: ThreadLimit) -> None:
        """Run what waits in one slot, until nothing does or the event loop wants the slot."""
        queue, slots = self._queue, self._slots
        slot = slots.take()
        try:
            while True:
                try:
                    attempt = queue.popleft()
                except IndexError:
                    break
                if queue and not self._called:
                    self._call()
                if slots.start(slot, attempt.job.number, attempt.plan.hard_ns):
                    outcome = Context().run(self._run, attempt, limit)
                    self._done(outcome)
                    lines.ended(attempt, outcome)
                else:
                    self._dropped(attempt.job.number)
                if slots.wanted:
                    break
        finally:
            slots.hand_back(slot)

    def _run(self, attempt: Attempt, limit: ThreadLimit) -> Outcome:
        """In a context of the attempt's own: what a task leaves in context variables is not for the next."""
        executor = self._executor
        plan = attempt.plan
        attempt.started = time.monotonic()
        decoded = executor.decode(attempt)
        if decoded is not None:
            return decoded
        context.enter(attempt.current)
        try:
            limit.open(attempt.job.id, attempt.started + plan.soft)
            value = plan.task.call(attempt.kwargs)
            limit.close()
            if type(value) not in PLAIN and is_awaitable(value):
                value = self.finish(attempt, value)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too, is a verdict
            # Also when the exception came as the limit was being closed: it must not be left open.
            attempt.asked = limit.close() or attempt.asked
            _say_why(error, attempt)
            return executor.fail(attempt, error)
        return executor.succeed(attempt, value)


def _nobody_awaits(attempt: Attempt, awaitable: Any) -> Any:
    raise LazyResult(
        f"the task returned a {type(awaitable).__name__}, and there is no event loop to await it"
    )


def _say_why(error: BaseException, attempt: Attempt) -> None:
    """Python raises the bare type in the thread; say what it means."""
    if error.args:
        return
    if isinstance(error, TaskTimeout):
        error.args = (attempt.limit,)
    elif isinstance(error, TaskCancelled):
        error.args = ("cancelled",)
