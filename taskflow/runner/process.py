"""The child as a process: which signals it hears, what the processes that tasks start inherit, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

END_SECONDS = 3.0
"""That functions registered with `atexit` get at a normal stop, all together."""

_HEARD_BY_THE_WORKER = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_OURS = __name__.partition(".")[0]


def leave_signals_to_the_worker() -> None:
    """Do nothing at signals that service managers send to a whole group: the worker alone decides when a child ends.

    By handlers that do nothing, not by `SIG_IGN`: that would be inherited by whatever a task starts, which then could not
    be ended.
    """
    for number in _HEARD_BY_THE_WORKER:
        signal.signal(number, _unheard)


def _unheard(number: int, frame: FrameType | None) -> None:
    """The worker has got it, too."""


def keep_from_forks(connection: socket.socket) -> None:
    """What a task forks has default signal handling, and no hold of the child's socket: it may outlive the child, and the
    worker must see its end.

    A signal that comes before a fork has that waits until it has: with the child's handlers it would do nothing, and a
    `multiprocessing.Pool` that is ended as soon as it has worked waits for ever for a process that has not heard it.

    Args:
        connection: to the worker.
    """
    forking = threading.local()

    def before() -> None:
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD_BY_THE_WORKER)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def in_the_fork() -> None:
        with contextlib.suppress(OSError):
            os.close(connection.detach())
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if str(getattr(handler, "__module__", "")).partition(".")[0] == _OURS:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
        go_on()

    os.register_at_fork(before=before, after_in_parent=go_on, after_in_child=in_the_fork)


def write_output_at_once() -> None:
    """What a task prints appears line by line, also where the output is no terminal: a process that is killed loses the rest."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def end(before: Callable[[], None]) -> NoReturn:
    """End normally: with what is to be done before, and the functions that are registered with `atexit` (the log is flushed by
    one of them), as far as they get in time, but without waiting for any thread. What tasks still run has been given back.
    """
    threading.Thread(target=_end_late, name="taskflow-end", daemon=True).start()
    before()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    flush()
    os._exit(0)


def within_bounds(what: Callable[[], None]) -> None:
    """Do something that must not hold up the end of this process for longer than it may take."""
    late = threading.Timer(END_SECONDS, _end_now)
    late.daemon = True
    late.start()
    what()
    late.cancel()


def end_with_everything() -> NoReturn:
    """End because the worker has gone without a word, together with every process that tasks have started."""
    flush()
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _end_late() -> None:
    time.sleep(END_SECONDS)
    _end_now()


def _end_now() -> None:
    flush()
    os._exit(0)


def flush() -> None:
    """Write out what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
