"""How eager mode calls a function: in the caller's thread, with a watch for its soft limit while it runs."""

from __future__ import annotations

import threading
from typing import Any

from ..errors import TaskTimeout
from ..options import DEFAULT_TIMEOUT
from .attempt import Attempt
from .in_thread import Finish, ThreadCall
from .limits import SOON, ThreadLimit

_here = threading.local()
"""`limit`: that of the innermost task that runs in this thread."""


class TimedCall:
    """Calls functions in the thread that made it, and raises `TaskTimeout` in those that were given a limit and overrun it.

    A task may enqueue another, which runs inside it: the outer limit waits so long, since an exception would be the inner task's.

    Args:
        finish: awaits what a function has returned.
    """

    def __init__(self, finish: Finish) -> None:
        self._limit = ThreadLimit()
        self._calls = ThreadCall(finish, self._limit)

    def call(self, attempt: Attempt) -> Any:
        """Call the attempt's function; what the pipeline is given."""
        outer: ThreadLimit | None = getattr(_here, "limit", None)
        waits, deadline = (None, 0.0) if outer is None else (outer.job, outer.deadline)
        if outer is not None and waits is not None and outer.close() is not None:
            waits = None  # it has been raised: once is enough
        watch = _Watch(self._limit, attempt) if attempt.plan.soft_seconds < DEFAULT_TIMEOUT else None
        _here.limit = self._limit
        try:
            return self._calls.call(attempt)
        finally:
            _here.limit = outer
            if watch is not None:
                watch.end()
            if outer is not None and waits is not None:
                outer.open(waits, deadline)


class _Watch(threading.Thread):
    """Looks at the clock for one attempt. A thread for each, since none may be left behind in somebody's tests.

    Args:
        limit: of the thread that the attempt runs in.
        attempt: the attempt.
    """

    def __init__(self, limit: ThreadLimit, attempt: Attempt) -> None:
        super().__init__(name="taskflow-limit", daemon=True)
        self._limit = limit
        self._job = attempt.job.number
        self._seconds = attempt.plan.soft_seconds
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Raise the limit once its time is up, when the thread is where that does no harm."""
        pause = self._seconds
        while not self._ended.wait(pause):
            self._limit.fire(TaskTimeout, only=self._job)
            pause = SOON

    def end(self) -> None:
        """The attempt has ended."""
        self._ended.set()
        self.join()
