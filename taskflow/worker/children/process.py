"""What runs a child's code: a process of its own, or a thread of this one (`-P solo`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Protocol

GROUP_SECONDS = 1.0
"""That processes which tasks have left behind have to end, once their child has ended as it was told to."""

GROUP_LOOK_SECONDS = 0.02


AWAITED: set[int] = set()
"""The children of this process that a `ChildProcess` waits for."""


class Process(Protocol):
    """What runs the child."""

    pid: int
    separate: bool
    """Whether it can be killed, and replaced by another, without ending this process."""

    async def wait(self) -> int:
        """Its exit code, when it has ended; may be asked by several."""

    async def leave(self) -> None:
        """Where it is not separate: wait until nothing runs any more, its socket being closed."""

    def kill(self) -> None:
        """End it at once."""

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it (SIGSTOP), so that none of its threads runs."""


class Reaped(Protocol):
    """What of `subprocess.Popen` is used here; for a child that another process has forked see `forked.Forked`."""

    @property
    def pid(self) -> int:
        """Its number."""

    returncode: int | None
    """Its exit code, once it was waited for."""

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self) -> int:
        """Its exit code, when it has ended."""

    def kill(self) -> None:
        """End it at once, unless it was waited for."""


class ChildProcess:
    """A `Process` that was started.

    Args:
        process: a child of this process.
    """

    separate = True

    def __init__(self, process: subprocess.Popen[bytes] | Reaped) -> None:
        self._process = process
        self._ended: asyncio.Future[int] | None = None
        self._stopped = False
        self.pid = process.pid
        AWAITED.add(self.pid)

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal.

        By the process itself and not by its socket: whatever it has forked may hold a copy of that, and outlive it.
        """
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            if not self._watch_descriptor(self._ended):
                self._watch_in_thread(self._ended)
        return await asyncio.shield(self._ended)

    async def leave(self) -> None:
        """It ends by itself."""

    def kill(self) -> None:
        """End it at once, with every process that its tasks have started: they are in its group, unless they have left it."""
        if self._process.returncode is None:  # else its number may be somebody else's
            self._end_group()
        self._process.kill()

    def _end_group(self) -> None:
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> bool:
        """Send a signal to what is left of its group; whether anything is. (A number is not given away while a group has it.)"""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
            return True
        return False

    def _group_ends(self, code: int) -> Iterator[float]:
        """It has ended: what its tasks have started ends too, by itself if it can. The seconds between two looks.

        After a crash at once: it might wait for its parent for ever.
        """
        if code or not self._signal_group(signal.SIGTERM):
            self._end_group()
            return
        for _ in range(int(GROUP_SECONDS / GROUP_LOOK_SECONDS)):
            yield GROUP_LOOK_SECONDS
            if not self._signal_group(0):
                return
        self._end_group()

    def is_stopped(self) -> bool:
        """Whether it was stopped and has not been continued since: the kernel tells each change once."""
        with contextlib.suppress(OSError):
            changes = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
            while (change := os.waitid(os.P_PID, self.pid, changes)) is not None:
                self._stopped = change.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED)
        return self._stopped

    def _watch_descriptor(self, ended: asyncio.Future[int]) -> bool:
        """Let the loop wait for it; False where the system cannot, or has no descriptor left."""
        if not hasattr(os, "pidfd_open"):
            return False
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        loop = asyncio.get_running_loop()

        def look() -> None:
            code = self._process.poll()
            if code is None:
                return
            AWAITED.discard(self.pid)
            loop.remove_reader(descriptor)
            os.close(descriptor)
            wait(self._group_ends(code), code)

        def wait(looks: Iterator[float], code: int) -> None:
            pause = next(looks, None)
            if pause is not None:
                loop.call_later(pause, wait, looks, code)
            elif not ended.done():
                ended.set_result(code)

        loop.add_reader(descriptor, look)
        return True

    def _watch_in_thread(self, ended: asyncio.Future[int]) -> None:
        loop = asyncio.get_running_loop()

        def end(code: int) -> None:
            if not ended.done():
                ended.set_result(code)

        def watch() -> None:
            code = self._process.wait()
            AWAITED.discard(self.pid)
            for pause in self._group_ends(code):
                time.sleep(pause)
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(end, code)

        # A thread of its own, as asyncio has for its processes: one that does not end must keep nothing else waiting.
        threading.Thread(target=watch, name=f"taskflow-child-{self.pid}", daemon=True).start()


class ThreadProcess:
    """`-P solo`: the child's code runs in this process, so there is nothing to wait for or to kill."""

    separate = False

    def __init__(self) -> None:
        self.pid = os.getpid()

    async def wait(self) -> int:
        """Never: while it could end, this process would have ended."""
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await never

    async def leave(self) -> None:
        """It leaves when the worker has ended (`solo`)."""

    def kill(self) -> None:
        """Cannot be done: the code runs in the worker's own process."""

    def is_stopped(self) -> bool:
        """Then nobody could ask."""
        return False


def signal_name(code: int) -> str:
    """How an exit code reads."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
