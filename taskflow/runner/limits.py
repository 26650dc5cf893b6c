"""Soft time limits and cancellation of tasks that run in threads: an exception, raised in the thread from
outside.
"""

from __future__ import annotations

import ctypes
import threading
import time

from ..errors import TaskTimeout

TICK = 0.1
"""Seconds between two looks at the clock: how late a soft limit may be."""

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
_raise_in.restype = ctypes.c_int


class ThreadLimit:
    """The right to raise an exception in the thread that made it, while its task runs.

    Python delivers such an exception between two bytecodes, never inside a C call: a sleep in C is not
    interrupted, which is what hard limits are for. `close` takes back one that was raised and not yet
    delivered, so that it cannot hit the next task.
    """

    __slots__ = ("_lock", "_raised", "_thread", "deadline", "task_id")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._raised = False
        self.deadline = 0.0
        self.task_id: bytes | None = None

    def open(self, task_id: bytes, deadline: float) -> None:
        """A task begins; `deadline` is monotonic seconds."""
        with self._lock:
            self._raised = False
            self.deadline = deadline
            self.task_id = task_id

    def fire(self, error: type[BaseException], *, only: bytes | None = None) -> None:
        """Raise the exception in the thread, once, if a task (this one, where `only` is given) runs in it."""
        with self._lock:
            if self.task_id is not None and not self._raised and only in (None, self.task_id):
                self._raised = True
                _raise_in(self._thread, id(error))

    def close(self) -> None:
        """The task has ended: nothing may be raised any more. Called by the thread itself."""
        with self._lock:
            self.task_id = None
            if self._raised:
                _raise_in(self._thread, None)


class SoftLimits:
    """Looks at the clock for all threads of a pool, from one thread that starts with the first limit."""

    def __init__(self) -> None:
        self._limits: list[ThreadLimit] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, limit: ThreadLimit) -> None:
        """Watch this thread's limit from now on."""
        with self._lock:
            self._limits.append(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="taskflow-limits", daemon=True)
                self._thread.start()

    def cancel(self, task_id: bytes, error: type[BaseException]) -> None:
        """Raise in the thread that runs this task, if one does."""
        for limit in list(self._limits):
            limit.fire(error, only=task_id)

    def _run(self) -> None:
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            for limit in self._limits:
                task_id = limit.task_id
                if task_id is not None and limit.deadline <= now:
                    limit.fire(TaskTimeout, only=task_id)
