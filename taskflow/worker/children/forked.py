"""Children that another process has forked, and that are this one's all the same: the kernel gives them to it (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from .process import AWAITED

_SET_CHILD_SUBREAPER = 36
"""Of `prctl`."""

LOOK_SECONDS = 1.0
POLL_SECONDS = 0.05

_GONE = 255
"""The exit code of one that somebody else has waited for."""


def adopt_orphans() -> bool:
    """Become the parent of each process below this one whose own parent ends; False where the system cannot.

    With that a child has a parent that knows its exit code, and waits for it, however the process ends that has forked it.
    """
    if sys.platform != "linux":
        return False
    # Only here: no other worker needs it.
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


class Forked:
    """What of `subprocess.Popen` a `ChildProcess` uses.

    Args:
        pid: a child of this process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, if it has ended; negative for a signal."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = _GONE
            else:
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        while (code := self.poll()) is None:
            time.sleep(POLL_SECONDS)
        return code

    def kill(self) -> None:
        """End it, unless it has ended: as long as it was not waited for, its number is nobody else's."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Orphans:
    """Waits for the orphans that nobody knows: what tasks have started, and left behind. They would stay as zombies."""

    def __init__(self) -> None:
        self.coming = 0
        """Children that are being forked: they are there before their number is known."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Look now and then, as long as this event loop runs."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            AWAITED.clear()  # who was waited for on the loop of before is an orphan now
            self._look(loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(LOOK_SECONDS, self._look, loop)
        with contextlib.suppress(ChildProcessError):
            while not self.coming:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid in AWAITED:
                    return  # the next look comes after somebody else's
                os.waitpid(ended.si_pid, os.WNOHANG)


ORPHANS = Orphans()
"""Of this process: the kernel keeps one list of children."""
