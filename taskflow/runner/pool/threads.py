"""Functions run in threads, which are started as they are needed and kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from ... import context
from ...errors import TaskCancelled, TaskTimeout
from ...pipe.frames import Outcome
from ..executor import Attempt, Executor
from ..limits import SoftLimits, ThreadLimit
from .slots import Slots


class ThreadPool:
    """Runs attempts in at most `size` threads.

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
        self._queue: SimpleQueue[Attempt] = SimpleQueue()
        self._limits = SoftLimits()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, attempt: Attempt) -> None:
        """Run the attempt as soon as a thread is free."""
        self._queue.put(attempt)
        if len(self._threads) < self._size and not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._work, name=f"taskflow-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def run_here(self) -> None:
        """Lend the calling thread to the pool, for ever: `-P solo` runs tasks in the main thread, for
        debuggers.
        """
        self._threads.append(threading.current_thread())
        self._work()

    def cancel(self, task_id: bytes) -> None:
        """Raise `TaskCancelled` in the task, if it runs here."""
        self._limits.cancel(task_id, TaskCancelled)

    def _work(self) -> None:
        limit = ThreadLimit()
        self._limits.watch(limit)
        while True:
            try:
                attempt = self._queue.get_nowait()
            except Empty:
                self._idle.release()
                attempt = self._queue.get()
            slot = self._slots.take()
            if self._slots.start(slot, attempt.job.number, attempt.hard):
                self._done(self._run(attempt, limit))
            else:
                self._dropped(attempt.job.number)
            self._slots.give_back(slot)

    def _run(self, attempt: Attempt, limit: ThreadLimit) -> Outcome:
        executor = self._executor
        attempt.started = time.monotonic()
        decoded = executor.decode(attempt)
        if decoded is not None:
            return decoded
        token = context.enter(attempt.current(time.time()))
        try:
            limit.open(attempt.job.id, attempt.started + attempt.soft)
            try:
                value = attempt.task.call(attempt.kwargs)
            finally:
                limit.close()
        except (TaskTimeout, TaskCancelled) as error:
            return executor.fail(attempt, error if str(error) else _reason(error, attempt))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too, is a verdict
            return executor.fail(attempt, error)
        finally:
            context.leave(token)
        return executor.succeed(attempt, value)


def _reason(error: BaseException, attempt: Attempt) -> BaseException:
    """Python raises the bare type in the thread; say what it means."""
    if isinstance(error, TaskTimeout):
        text = f"time limit of {attempt.soft:g} s exceeded"
        return TaskTimeout(text).with_traceback(error.__traceback__)
    return TaskCancelled("cancelled").with_traceback(error.__traceback__)
