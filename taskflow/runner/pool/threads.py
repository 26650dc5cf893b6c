"""Functions run in threads, which are started as they are needed and kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue

from ...errors import TaskCancelled
from ...message.outcome import Outcome
from ...tasks import reporter
from ...tasks.attempt import Attempt
from ...tasks.in_thread import Finish, Limit, ThreadCall, nobody_awaits
from ...tasks.interrupts import MainThreadLimits
from ...tasks.limits import SoftLimits, ThreadLimit
from ...tasks.run import Call, Pipeline
from .slots import PoolSlots

SIGNALS_SECONDS = 0.2
"""How long a signal may wait for the main thread of `-P solo`, where it has nothing to do."""


class ThreadPool:
    """Runs attempts in at most `size` threads.

    A thread that has come for work stays with it until nothing waits: while tasks are quick, one thread runs them all, and each
    costs no more than taking it from the queue. It calls one other for what waits behind its own, and that one calls the next
    as soon as it gets to run: when the first task waits for something.

    Args:
        size: threads.
        pipeline: runs each attempt.
        slots: shared with the event loop.
        done: takes each outcome.
        dropped: takes the number of a job that was recalled when it was about to start.
    """

    def __init__(
        self,
        size: int,
        pipeline: Pipeline,
        slots: PoolSlots,
        done: Callable[[Outcome], None],
        dropped: Callable[[int], None],
    ) -> None:
        self._size = size
        self._pipeline = pipeline
        self._slots = slots
        self._done = done
        self._dropped = dropped
        self._queue: deque[Attempt] = deque()
        self._limits: SoftLimits | MainThreadLimits = SoftLimits()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0
        self._bell: SimpleQueue[None] = SimpleQueue()
        self.finish: Finish = nobody_awaits
        """Awaits on the event loop what a function has returned; to be set before the first attempt."""
        self._called = False
        """Whether a thread has been called that has not come yet. It looks into the queue after it has cleared this."""
        self._leaving = False

    def submit(self, *attempts: Attempt) -> None:
        """Run the attempts as soon as threads are free."""
        self._queue.extend(attempts)
        if attempts and not self._called:
            self._call()

    def head(self) -> Attempt | None:
        """What has waited longest."""
        try:
            return self._queue[0]
        except IndexError:
            return None

    def lend(self, *, by_signal: bool) -> Callable[[], None]:
        """Lend the calling thread, which is the main thread, to the pool; before the first attempt comes, which would get one of
        its own.

        Args:
            by_signal: limits and cancels come by a signal, also inside blocking calls: `-P processes`. `-P solo` has its tasks in
                the main thread for debuggers, which would be disturbed by that.

        Returns:
            What runs attempts in it until `leave` is called.
        """
        self._threads.append(threading.current_thread())
        if not by_signal:
            return partial(self._work, self._hear_signals)
        self._limits = limits = MainThreadLimits()
        return partial(self._work, limit=limits.limit())

    def leave(self) -> None:
        """Let the threads end as soon as they have nothing to do."""
        self._leaving = True
        for _ in list(self._threads):
            self._bell.put(None)

    def interrupt(self) -> list[threading.Thread]:
        """After `leave`: ask what runs to end; the threads that have not ended yet."""
        limits = self._limits
        threads = [thread for thread in self._threads if thread.is_alive()]
        if isinstance(limits, SoftLimits):
            if threads:
                limits.cancel_all(TaskCancelled)
            else:
                limits.end()
            if limits.thread is not None and limits.thread.is_alive():
                threads.append(limits.thread)
        return threads

    def cancel(self, number: int) -> None:
        """Raise `TaskCancelled` in the job of this number, if it runs here."""
        self._limits.cancel(number, TaskCancelled)

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

    def _work(self, wait: Callable[[], object] | None = None, limit: Limit | None = None) -> None:
        wait = wait or self._bell.get
        call = ThreadCall(self.finish, limit or self._thread_limit()).call
        while not self._leaving:
            self._called = False
            while self._queue:
                try:
                    self._serve(call)
                except BaseException as error:  # noqa: BLE001 - a thread that ends takes a slot and a task with it
                    reporter.unexpected(error)
            with self._lock:
                self._idle += 1
            wait()
            with self._lock:
                self._idle -= 1

    def _thread_limit(self) -> ThreadLimit:
        assert isinstance(self._limits, SoftLimits), (
            "the main thread is the only one where it has a limit of its own"
        )
        limit = ThreadLimit()
        self._limits.watch(limit)
        return limit

    def _hear_signals(self) -> None:
        """Wait for the bell in the main thread. Python runs handlers there only between two bytecodes, so a signal that comes
        just before it waits, or to another thread, would not be heard until the next one.
        """
        while True:
            try:
                return self._bell.get(timeout=SIGNALS_SECONDS)
            except Empty:
                continue

    def _serve(self, call: Call) -> None:
        """Run what waits in one slot, until nothing does or the event loop wants the slot."""
        queue, slots, run = self._queue, self._slots, self._pipeline.run
        ended = self._pipeline.reporter.ended
        slot = slots.take()
        try:
            while True:
                try:
                    attempt = queue.popleft()
                except IndexError:
                    break
                if queue and not self._called:
                    self._call()
                attempt.started_at = slots.start(slot, attempt.job.number, attempt.plan.hard_ns)
                if attempt.started_at:
                    # In a context of its own: what a task leaves in context variables is not for the next.
                    own = Context()
                    outcome = own.run(run, attempt, call)
                    self._done(outcome)
                    ended(attempt, outcome, own)
                else:
                    self._dropped(attempt.job.number)
                if slots.wanted:
                    break
        finally:
            slots.hand_back(slot)
