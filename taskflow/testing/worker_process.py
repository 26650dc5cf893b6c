"""A real worker in a process of its own, for tests of what only that shows: crashes, signals, memory, another interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

READY = " worker for "
"""What only the worker's banner says: from then on it takes tasks."""

START_SECONDS = 30.0
STOP_SECONDS = 10.0

# The worker ends with the tests, however these end: nobody holds the other end of its standard input then. (`os.read`: a thread
# in `sys.stdin` would break the interpreter's own end.)
_START = """
import os, signal, threading
def end_with_the_tests():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end_with_the_tests, daemon=True).start()
from taskflow.cli.main import main
main(prog_name="taskflow")
"""


class WorkerProcess:
    """`taskflow worker -A spec -b broker` with its own interpreter. Used as a context manager: it takes tasks in the block.

    Args:
        spec: the app, as for `-A`.
        broker: the URL.
        options: more of the command's.
        environment: variables besides those of this process.

    Attributes:
        process: the `subprocess.Popen`.
    """

    process: subprocess.Popen[str]

    def __init__(
        self,
        spec: str,
        broker: str,
        options: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-c", _START, "worker", "-A", spec, "-b", broker, *options]
        path = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
        # Its tasks enqueue as the test does, whatever the tests' own environment asks for.
        self._environment = {**os.environ, "PYTHONPATH": path, "TASKFLOW_EAGER": "0", **(environment or {})}
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._over = False

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name="taskflow-testing-log", daemon=True)
        self._reader.start()
        try:
            self.wait_for_log(READY, START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def log(self) -> list[str]:
        """The lines that it and its children have written so far."""
        with self._said:
            return list(self._lines)

    def wait_for_log(self, text: str, timeout: float = 10.0) -> str:
        """Wait for a line with this text, which may be there already; the first is returned.

        Args:
            text: a part of the line.
            timeout: seconds.

        Raises:
            AssertionError: there is none in time, or the worker has ended without; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        with self._said:
            while True:
                for line in self._lines:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                if self._over or left <= 0:
                    why = "the worker has ended" if self._over else f"not within {timeout:g} s"
                    raise AssertionError(f"{why}: {text!r} in its log\n" + "\n".join(self._lines[-30:]))
                self._said.wait(left)

    def kill(self) -> None:
        """End it as a crash of the machine would (SIGKILL): its tasks keep their leases until these end. See `advance`."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End it: a graceful stop, then a hasty one, then SIGKILL."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        self._reader.join(STOP_SECONDS)
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self._lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._over = True
            self._said.notify_all()
