"""Coroutines run on one event loop, in a thread that starts with the first of them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ... import context
from ...errors import TaskCancelled, TaskTimeout
from ...pipe.frames import Outcome
from ...telemetry.logs import place
from ..executor import Attempt, Executor
from .slots import Slots

logger = logging.getLogger("taskflow.task")


class LoopPool:
    """Runs coroutine tasks, each in a slot of its own.

    Args:
        executor: decodes and decides.
        slots: shared with the threads.
        done: takes each outcome.
        dropped: takes the number of a job that was recalled when it was about to start.
    """

    def __init__(
        self,
        executor: Executor,
        slots: Slots,
        done: Callable[[Outcome], None],
        dropped: Callable[[int], None],
    ) -> None:
        self._executor = executor
        self._slots = slots
        self._done = done
        self._dropped = dropped
        self._backlog: deque[Attempt] = deque()
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        slots.on_free = self._wake
        slots.on_handed = self._handed

    def submit(self, attempt: Attempt) -> None:
        """Run the attempt as soon as a slot is free."""
        self._backlog.append(attempt)
        if self._loop is None:
            self._start()
        self._wake()

    def cancel(self, task_id: bytes) -> None:
        """Cancel the task, if it runs here."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, task_id)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_report)
        thread = threading.Thread(target=self._loop.run_forever, name="taskflow-loop", daemon=True)
        thread.start()

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
        if self._slots.start(slot, attempt.job.number, attempt.plan.hard_ns):
            task = asyncio.create_task(self._work(attempt))
            self._running[attempt.job.id] = task
            task.add_done_callback(partial(self._ended, attempt, slot))
        else:
            self._dropped(attempt.job.number)
            self._slots.give_back(slot)

    async def _work(self, attempt: Attempt) -> None:
        self._done(await self._run(attempt))

    def _ended(self, attempt: Attempt, slot: int, task: asyncio.Task[None]) -> None:
        """Not in a `finally` of the coroutine: one that is cancelled before its first step is never entered."""
        self._running.pop(attempt.job.id, None)
        if task.cancelled() and not attempt.started:
            attempt.started = time.monotonic()
            self._done(self._executor.fail(attempt, TaskCancelled("cancelled")))
        self._slots.give_back(slot)

    async def _run(self, attempt: Attempt) -> Outcome:
        executor, plan = self._executor, attempt.plan
        attempt.started = time.monotonic()
        decoded = executor.decode(attempt)
        if decoded is not None:
            return decoded
        context.enter(attempt.current)
        try:
            async with asyncio.timeout(plan.soft) as limit:
                value = await plan.task.call(attempt.kwargs)
        except TimeoutError as error:
            if limit.expired():
                error = TaskTimeout(f"time limit of {plan.soft:g} s exceeded").with_traceback(
                    error.__traceback__
                )
            return executor.fail(attempt, error)
        except asyncio.CancelledError as error:
            cancelled = TaskCancelled("cancelled").with_traceback(error.__traceback__)
            return executor.fail(attempt, cancelled)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too, is a verdict
            return executor.fail(attempt, error)
        return executor.succeed(attempt, value)

    def _cancel(self, task_id: bytes) -> None:
        task = self._running.get(task_id)
        if task is not None:
            task.cancel()


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A coroutine that a task has left behind failed. asyncio would log the exception with its text."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        logger.error(
            "What a task left behind on the event loop failed: %s at %s", type(error).__name__, place(error)
        )
        logger.debug("Traceback of what a task left behind", exc_info=error)
    else:
        logger.error("The event loop of the tasks reports: %s", context.get("message", ""))
