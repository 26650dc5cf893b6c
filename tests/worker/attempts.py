"""Runs an app's tasks in the pools of a child, without a socket and without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taskflow import TaskFlow
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames, shared_marks
from taskflow.runner.pool.loop import LoopPool
from taskflow.runner.pool.slots import PoolSlots
from taskflow.runner.pool.threads import ThreadPool
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.limits import ThreadLimit, _raise_in
from taskflow.tasks.run import Pipeline
from tests.listening import logged
from tests.servers import wait_until


class Attempts:
    """Both pools of a child with some slots, and the outcomes that come from them.

    Args:
        app: whose tasks run.
        slots: how many at once.
        options: of the pipeline.
    """

    def __init__(self, app: TaskFlow, slots: int = 1, **options: Any) -> None:
        self._memory = shared_marks.create()
        self.marks = shared_marks.SharedMarks(self._memory, slots)
        os.close(self._memory)
        self.outcomes: dict[int, Outcome] = {}
        self.pipeline = Pipeline(app.tasks, **options)
        self.slots = PoolSlots(self.marks, slots)
        parts = (self.pipeline, self.slots, self._done, lambda number: None)
        self.threads = ThreadPool(slots, *parts)
        self.loop = LoopPool(*parts)
        self.threads.finish = self.loop.finish
        self._number = 0

    def start(self, name: str, payload: bytes | None = None, **fields: Any) -> int:
        """Start an attempt at a task; its number. `fields` are the message's."""
        self._number += 1
        number, task_id = self._number, f"t{self._number}"
        given = {"timeout": 60, **fields}
        message = TaskMessage(type=name, payload=payload, id=task_id, queue="q", **given).encode()
        self.marks.expect(number)
        attempt = self.pipeline.receive(frames.Job(number, "q", task_id.encode(), message))
        assert isinstance(attempt, Attempt)
        (self.loop if attempt.plan.task.is_async else self.threads).submit(attempt)
        return number

    def cancel(self, number: int) -> None:
        """The operator's cancel."""
        self.pipeline.desk.cancel(number)
        self.threads.cancel(number)
        self.loop.cancel(number)

    def outcome(self, number: int, timeout: float = 30) -> Outcome:
        """Wait for the outcome of an attempt, for so many seconds."""
        wait_until(lambda: number in self.outcomes, description="an outcome", timeout=timeout)
        return self.outcomes[number]

    def run(self, name: str, payload: bytes | None = None, **fields: Any) -> Outcome:
        """One attempt at a task, from its start to its outcome."""
        return self.outcome(self.start(name, payload, **fields))

    def _done(self, outcome: Outcome) -> None:
        self.outcomes[outcome.number] = outcome

    def close(self) -> None:
        """End what a child never ends."""
        end_threads(self.threads)
        if (loop := self.loop._loop) is not None:
            self.loop.close()
            wait_until(loop.is_closed, description="the loop ends")
        self.marks.close()


def end_threads(pool: ThreadPool) -> None:
    """Threads of a pool end with their process, and never before; here they end with their test.

    What a task holds up is ended by force, and nothing else: an exception that meets a thread which reads a file, as for a
    traceback, leaves that file open.
    """
    pool.leave()
    again = time.monotonic() + 1
    for thread in pool._threads:
        thread.join(max(again - time.monotonic(), 0))
    threads = [thread for thread in (*pool._threads, pool._limits._thread) if thread is not None]
    for _ in range(10):  # one that is just running something survives the first
        for thread in threads:
            _raise_in(thread.ident or 0, id(SystemExit))
            pool._bell.put(None)
        pool._limits._soon.set()
        again = time.monotonic() + 1
        for thread in threads:
            thread.join(max(again - time.monotonic(), 0))
        threads = [thread for thread in threads if thread.is_alive()]
    take_back()


def take_back() -> None:
    """What was raised in a thread that has ended before it came is looked for no more: on Python 3.11 a thread that is profiled,
    as in another test, would look for ever.
    """
    limit = ThreadLimit()
    limit._raised = SystemExit
    limit.close()


def error_of(outcome: Outcome) -> str:
    """The text that an attempt leaves in its task."""
    return TaskMessage.decode(outcome.message).error_msg


@contextmanager
def attempts(app: TaskFlow, slots: int = 1, **options: Any) -> Iterator[Attempts]:
    """`Attempts` that end with the block; what happens to them is logged."""
    pools = Attempts(app, slots, **options)
    try:
        with logged():
            yield pools
    finally:
        pools.close()
