"""Soft time limits and cancellation of tasks that run in threads: an exception, raised in the thread from
outside.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time

from ..errors import TaskCancelled, TaskTimeout
from . import reporter
from .delicate import is_delicate

TICK = 0.1
"""Seconds between two looks at the clock: how late a soft limit may be."""

SOON = 0.003
"""Seconds between two looks while an exception waits for a thread to get out of where it would do harm."""
HUNT_SECONDS, HUNT_LOOKS = 0.00002, 50

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
_raise_in.restype = ctypes.c_int


class _TakenBack(BaseException):
    """Is raised in place of what is not to be raised any more, and goes no further."""


_TAKEN_BACK = id(_TakenBack)  # looked up before: what was raised may come at any call but `_raise_in` itself


class ThreadLimit:
    """The right to raise an exception in the thread that made it, while its task runs.

    Python delivers such an exception between two bytecodes, never inside a C call: a sleep in C is not
    interrupted, which is what hard limits are for. `close` takes back one that was raised and not yet
    delivered, so that it cannot hit the next task.
    """

    __slots__ = ("_lock", "_raised", "_thread", "deadline", "job")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._raised: type[BaseException] | None = None
        self.deadline = 0.0
        self.job: int | None = None
        """The number of the job that runs in the thread."""

    def open(self, job: int, deadline: float) -> None:
        """A task begins; `deadline` is monotonic seconds."""
        # Without the lock, of which a task is to have none on its way: nothing is raised before `job` is set, the last.
        self._raised = None
        self.deadline = deadline
        self.job = job

    def fire(self, error: type[BaseException], *, only: int | None = None) -> bool:
        """Raise the exception in the thread, if a task (this job, where `only` is given) runs in it: each kind once, and after a
        cancel nothing more.

        False: not now, since the thread is where an exception would do harm; try again soon.
        """
        with self._lock:
            if self.job is None or only not in (None, self.job):
                return True
            if self._raised in (error, TaskCancelled):
                return True
            # A thread that has just come back from a sleep is not asked to give way for some milliseconds: what is seen of the
            # other thread is still true when the exception is set.
            time.sleep(0)
            if is_delicate(self._thread):
                return False
            self._raised = error
            _raise_in(self._thread, id(error))
            return True

    def close(self) -> type[BaseException] | None:
        """The task has ended: nothing may be raised any more. Called by the thread itself.

        Returns:
            What was raised last, if anything.
        """
        self.job = None
        # Whoever fires takes the lock and then looks at `job`; here that is set first, then it is looked whether somebody has
        # the lock, and last whether something was raised. So at least one of the two sees the other, and no task takes a lock
        # at its end unless there is something to be taken back.
        if not self._lock.locked() and self._raised is None:
            return None
        with self._lock:
            if self._raised is not None:
                # Not nothing in its place: on Python 3.11 every thread looks for an exception until one finds it, and one that is
                # traced or profiled (a debugger, coverage, cProfile) looks for ever, at its next call.
                try:
                    _raise_in(self._thread, _TAKEN_BACK)
                    for _ in range(3):  # here it comes at the latest
                        pass
                except _TakenBack:
                    pass
            return self._raised


class SoftLimits:
    """Looks at the clock for all threads of a pool, from one thread that starts with the first limit."""

    def __init__(self) -> None:
        self._limits: list[ThreadLimit] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked: list[tuple[ThreadLimit, int, type[BaseException]]] = []
        self._soon = threading.Event()
        self._ended = False

    def watch(self, limit: ThreadLimit) -> None:
        """Watch this thread's limit from now on."""
        with self._lock:
            self._limits.append(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="taskflow-limits", daemon=True)
                self._thread.start()

    def cancel(self, job: int, error: type[BaseException]) -> None:
        """Raise in the thread that runs the job of this number, if one does."""
        for limit in list(self._limits):
            if not limit.fire(error, only=job):
                with self._lock:
                    self._asked.append((limit, job, error))
                self._soon.set()

    def cancel_all(self, error: type[BaseException]) -> None:
        """Raise in all threads that run a task, where that does no harm now."""
        for limit in list(self._limits):
            limit.fire(error)

    def end(self) -> None:
        """Look no more."""
        self._ended = True
        self._soon.set()

    @property
    def thread(self) -> threading.Thread | None:
        """What looks, once there is a limit."""
        return self._thread

    def _run(self) -> None:
        while True:
            self._soon.clear()
            if self._ended:
                return
            try:
                pause = SOON if self._late() and self._hunt() else TICK
            except BaseException as error:  # noqa: BLE001 - without this thread there are no limits any more
                reporter.unexpected(error)
                pause = TICK
            self._soon.wait(pause)

    def _hunt(self) -> bool:
        """Look often, at any moment of what the threads do; whether something is due still.

        Threads that log all the time give way to each other where they wait for the log's lock, and would always be seen there.
        """
        usual = sys.getswitchinterval()
        sys.setswitchinterval(HUNT_SECONDS)
        try:
            for _ in range(HUNT_LOOKS):
                time.sleep(HUNT_SECONDS)
                if not self._late():
                    return False
        finally:
            sys.setswitchinterval(usual)
        return True

    def _late(self) -> bool:
        """Raise what is due; whether something is that could not be."""
        with self._lock:
            asked, self._asked = self._asked, []
        late = [one for one in asked if not one[0].fire(one[2], only=one[1])]
        if late:
            with self._lock:
                self._asked += late
        now, again = time.monotonic(), bool(late)
        for limit in self._limits:
            job = limit.job
            if job is not None and limit.deadline <= now and not limit.fire(TaskTimeout, only=job):
                again = True
        return again
