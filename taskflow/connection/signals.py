"""Whether signals may interrupt this thread while it waits for a reply.

Python begins a call again that a signal's handler has interrupted, and the kernel then its time: with a signal now and then (a
profiler, a timer, children that end) a silent node would be waited for without end. Handlers run in the main thread only, and
most programs have none: so it is looked at now and then whether there are any, which is cheaper than one more call of the system
for each reply.
"""

from __future__ import annotations

import os
import signal
import threading

PERIOD = 0.1
"""Seconds between two looks at the handlers; one takes some 20 us."""

_HARMLESS = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class Handlers:
    """What was seen at the last look.

    Attributes:
        look_at: when the next look is due, on the monotonic clock.
        exist: whether there were any.
        main: the thread that they run in.
    """

    def __init__(self) -> None:
        self.look_at = 0.0
        self.exist = False
        self.main = threading.main_thread().ident

    def look(self, now: float) -> None:
        """Look at all of them. A handler that another language has installed is shown as None."""
        self.look_at = now + PERIOD
        self.exist = any(signal.getsignal(number) not in _HARMLESS for number in _SIGNALS)


handlers = Handlers()


def may_interrupt(now: float) -> bool:
    """Whether a handler may run in this thread.

    Args:
        now: on the monotonic clock.
    """
    seen = handlers
    if now >= seen.look_at:
        seen.look(now)
    return seen.exist and threading.get_ident() == seen.main


def _after_fork() -> None:
    """Another thread may be the main one."""
    handlers.main = threading.main_thread().ident


os.register_at_fork(after_in_child=_after_fork)
