"""What runs a child's code: a process of its own, or a thread of this one (`-P solo`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from typing import Protocol


class Process(Protocol):
    """What runs the child."""

    pid: int
    separate: bool
    """Whether it can be killed, and replaced by another, without ending this process."""

    async def wait(self) -> int:
        """Its exit code, when it has ended; may be asked by several."""

    def kill(self) -> None:
        """End it at once."""

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it (SIGSTOP), so that none of its threads runs."""


class ChildProcess:
    """A `Process` that was started."""

    separate = True

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._ended: asyncio.Future[int] | None = None
        self._stopped = False
        self.pid = process.pid

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal.

        By the process itself and not by its socket: whatever it has forked may hold a copy of that, and outlive it.
        """
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            if not self._watch_descriptor(self._ended):
                self._watch_in_thread(self._ended)
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End it at once, with every process that its tasks have started: they are in its group, unless they have left it."""
        if self._process.returncode is None:  # else its number may be somebody else's
            self._end_group()
        self._process.kill()

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _forget(self, code: int) -> None:
        """It has ended. After a crash, what its tasks had started might wait for it for ever."""
        if code:
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
            self._forget(code)
            loop.remove_reader(descriptor)
            os.close(descriptor)
            if not ended.done():
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
            self._forget(code)
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
