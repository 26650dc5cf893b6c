"""Soft time limits and cancellation of a task that runs in the main thread of its process: an exception raised by a signal,
so that it comes inside blocking calls too.

A signal may be late: it is sent while one task runs, and handled when the next one does. So the signal itself says nothing. What
is asked for is written down with the number of the attempt that it is for, and the handler, which runs in the thread of the task,
raises it only while that attempt is in the user's code. Between two attempts, and in what we do before and after the call,
nothing is ever raised.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from ..errors import TaskCancelled, TaskTimeout
from . import in_thread, reporter
from .delicate import is_delicate_frame

SIGNAL = signal.SIGURG
"""Nothing happens at it by default, hardly any program listens to it, and debuggers let it pass. Go's runtime has chosen it, for
the same reasons, to interrupt its own threads.
"""

TICK = 0.1
"""Seconds between two looks whether a task has begun that has a limit."""

AGAIN, SELDOM = 0.003, 0.1
"""Seconds between two signals while a call in C does not return for them: at first, and after a while."""

HUNT_SECONDS, HUNT_SIGNALS = 0.00002, 50
"""While the thread is where nothing may be raised: so often, and so many times in a row, another moment is tried."""

_OURS = frozenset({__file__, in_thread.__file__})
"""Files that run before and after the call of a task's function. It is over, or begins in a moment."""


class MainThreadLimit:
    """The right to raise an exception in the main thread, while its task runs; made, opened and closed there.

    The same interface as `limits.ThreadLimit`. Only the main thread writes what runs, and only others write what is asked for, so
    neither needs a lock of the other's: a handler that waited for one that its own thread holds would wait for ever.
    """

    __slots__ = ("_lock", "_thread", "asked", "deadline", "deferred", "job", "number", "opened", "raised")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        """Of those who ask."""
        self.opened = 0
        """Attempts so far."""
        self.number = 0
        """Of the attempt whose function runs now; 0: none does."""
        self.job = -1
        """The number of the last attempt's job."""
        self.deadline = 0.0
        """Of the last attempt: monotonic seconds."""
        self.asked: tuple[int, type[BaseException]] | None = None
        """What is to be raised, and in which attempt."""
        self.raised: type[BaseException] | None = None
        """What was raised last in this attempt."""
        self.deferred = False
        """Whether the handler has run where nothing may be raised."""
        signal.signal(SIGNAL, self._on_signal)

    def open(self, job: int, deadline: float) -> None:
        """A task begins; `deadline` is monotonic seconds."""
        self.raised = None
        self.job = job
        self.deadline = deadline
        self.opened = self.number = self.opened + 1

    def close(self) -> type[BaseException] | None:
        """The task has ended: nothing is raised any more.

        Returns:
            What was raised last, if anything.
        """
        self.number = 0
        return self.raised

    # --- the other threads ----------------------------------------------------------------------------------

    def ask(self, error: type[BaseException], number: int) -> None:
        """Have this raised in the attempt of this number. After a cancel nothing more is."""
        with self._lock:
            if self.asked != (number, TaskCancelled):
                self.asked = (number, error)

    def is_open(self) -> bool:
        """Whether something is asked for that can still be raised and was not."""
        asked = self.asked
        return asked is not None and asked[0] == self.number and asked[1] is not self.raised

    def send(self) -> None:
        """Let the main thread look, wherever it is."""
        self.deferred = False
        signal.pthread_kill(self._thread, SIGNAL)

    # --- the main thread, wherever it is --------------------------------------------------------------------

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        asked = self.asked
        if asked is None or asked[0] != self.number or asked[1] is self.raised:
            return  # a signal that was on its way when the attempt ended, or somebody else's
        if frame is None or frame.f_code.co_filename in _OURS or is_delicate_frame(frame):
            self.deferred = True
            return
        self.raised = asked[1]
        raise asked[1]


class MainThreadLimits:
    """Looks at the clock for the main thread, from one thread; the same interface as `limits.SoftLimits`."""

    def __init__(self) -> None:
        self._limit: MainThreadLimit | None = None
        self._soon = threading.Event()
        self._pause = AGAIN

    def limit(self) -> MainThreadLimit:
        """The limit of the calling thread, which is the main thread: watched from now on."""
        self._limit = MainThreadLimit()
        threading.Thread(target=self._run, name="taskflow-limits", daemon=True).start()
        return self._limit

    def cancel(self, job: int, error: type[BaseException]) -> None:
        """Raise in the main thread, if it runs the job of this number."""
        limit = self._limit
        if limit is None:
            return
        number = limit.number
        if number and limit.job == job and number == limit.number:
            limit.ask(error, number)
            limit.send()
            self._soon.set()

    def _run(self) -> None:
        limit = self._limit
        assert limit is not None, "it was made before this thread"
        while True:
            self._soon.clear()
            try:
                pause = self._look(limit)
            except BaseException as error:  # noqa: BLE001 - without this thread there are no limits any more
                reporter.unexpected(error)
                pause = TICK
            self._soon.wait(pause)

    def _look(self, limit: MainThreadLimit) -> float:
        """Ask for what is due, and send the signal for what is open; seconds until the next look."""
        number, left = limit.number, 0.0
        if number:
            left = limit.deadline - time.monotonic()
            asked = limit.asked
            if left <= 0 and (asked is None or asked[0] != number):
                limit.ask(TaskTimeout, number)
        if not limit.is_open():
            self._pause = AGAIN
            return min(left, TICK) if left > 0 else TICK
        self._send(limit)
        self._pause = AGAIN if limit.deferred else min(self._pause * 1.5, SELDOM)
        return self._pause

    def _send(self, limit: MainThreadLimit) -> None:
        """Send the signal; often, while the thread is where an exception would do harm: it may be so nearly all the time."""
        for _ in range(HUNT_SIGNALS):
            limit.send()
            time.sleep(HUNT_SECONDS)
            if not limit.deferred or not limit.is_open():
                return
