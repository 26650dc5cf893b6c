"""The real worker in a process of its own, for tests: its log is read as it comes, its process ends with the test.

with WorkerProcess("tests.interop.apps.handlers", broker=valkey.url, queues={"mail": 1}, concurrency=4) as worker:
    worker.wait_for_log("succeeded")
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from taskflow.worker.timings import TIMINGS, Timings

ROOT = Path(__file__).parents[1]

READY = " worker for "
"""What only the worker's banner says: from here on it takes tasks."""

# A test run that is killed leaves no worker behind: its stdin ends with the run. (`os.read`, since a daemon thread inside
# `sys.stdin` would break the interpreter's own end.)
_START = """
import os, signal, threading
def end_with_stdin():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end_with_stdin, daemon=True).start()
from taskflow.cli.main import main
main(prog_name="taskflow")
"""

_TIMINGS = """
from taskflow.worker import timings
timings.TIMINGS = timings.{0}
"""

_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0}))
"""

Predicate = str | Callable[[str], object]
"""A part of a line, or a function of the line."""


class WorkerProcess:
    """`taskflow worker` in its own process; started by `with`, always ended by its process id.

    Args:
        app: `module[:attribute]`, as for `-A`.
        directory: its current directory, where the app's module is looked up; the repository's root if not given.
        environment: more environment variables.
        stdout: where what it prints goes; its log, on standard error, is read here.
        open_files: how many files it may have open, and can give itself no more.
        timings: how long its parts wait, instead of `TIMINGS`: set before anything of the worker is imported.
        ready: wait in `with` until it takes tasks; not for a worker that is meant to fail, or logs no banner.
        inside: a program that starts it somewhere else, as `nsenter` with its options.
        **options: of the command, as keywords: broker="…", queues={"q": 1}, concurrency=4, pool="processes", processes=2,
            strict=True, grace=5, burst=True, log_level="debug", log_format="json".
    """

    def __init__(
        self,
        app: str,
        *,
        directory: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        open_files: int | None = None,
        timings: Timings = TIMINGS,
        ready: bool = True,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        inside: Sequence[str] = (),
        **options: object,
    ) -> None:
        first = "" if open_files is None else _LIMIT.format(open_files)
        first += "" if timings == TIMINGS else _TIMINGS.format(timings)
        start = [*inside, sys.executable, "-P", "-c", first + _START]
        self._command = [*start, "worker", f"--app={app}", *_flags(options)]
        self._directory = directory
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._environment = {**os.environ, "PYTHONPATH": path, **(environment or {})}
        self._ready = ready
        self._stdout = stdout
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._finished = False  # no further line will come: the worker and its children are gone

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name="worker-log", daemon=True)
        self._reader.start()
        try:
            if self._ready:
                self.wait_for_log(READY, 30)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """The worker's process id, as its record shows it."""
        return self.process.pid

    @property
    def log(self) -> list[str]:
        """A copy of the lines so far, of the worker and its children."""
        with self._changed:
            return list(self._lines)

    def wait_for_log(self, predicate: Predicate, timeout: float = 20) -> str:
        """Wait for a line (also one that is there already) and return the first.

        Raises:
            AssertionError: there is none in time, or none when the worker has ended.
        """
        holds = (lambda line: predicate in line) if isinstance(predicate, str) else predicate
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if holds(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._finished or left <= 0:
                    cause = "the worker has ended" if self._finished else f"not within {timeout:g} s"
                    wanted = repr(predicate) if isinstance(predicate, str) else "the line"
                    raise AssertionError(f"{cause}: {wanted} in the log\n" + "\n".join(self._lines[-50:]))
                self._changed.wait(left)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker, not to its children."""
        self.process.send_signal(number)

    def terminate(self, timeout: float = 20) -> int:
        """Ask for a graceful stop (SIGTERM), wait for it, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it (SIGKILL) without any chance to hand its tasks back."""
        self.process.kill()
        self.process.wait(10)

    def wait(self, timeout: float = 20) -> int:
        """Wait until it has ended by itself, and return the exit code."""
        if self.process.poll() is None:  # `Popen.wait` would look every 50 ms
            descriptor = os.pidfd_open(self.pid)
            try:
                select.select([descriptor], [], [], timeout)
            finally:
                os.close(descriptor)
        return self.process.wait(0.05)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _end(self) -> None:
        """Stop gracefully if it can, by force if it must; leave no process, thread or file behind."""
        try:
            for patience in (5, 10):  # a second signal hands back what still runs
                if self.process.poll() is None:
                    self.signal(signal.SIGCONT)
                    self.signal(signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.wait(patience)
        finally:
            if self.process.poll() is None:
                self.kill()
            self._reader.join(5)
            if self._reader.is_alive():  # a child holds the log open: it belongs to the worker's own group
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self._reader.join(10)
            for stream in (self.process.stdin, self.process.stderr):
                if stream is not None:
                    stream.close()


def _flags(options: Mapping[str, object]) -> list[str]:
    """Turn keywords into the options of `taskflow worker`."""
    flags = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            flags += [flag] if value else []
        elif value is not None:
            flags.append(f"{flag}={_text(value)}")
    return flags


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}={weight}" for name, weight in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)
