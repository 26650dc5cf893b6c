"""Processes of a run: each in a session of its own, with its output in a file, and always ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAMS = Path(__file__).parent / "programs"
STOP_SECONDS = 8.0
_SPIN = """
import os
os.nice(19)
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
try:
    # Linux weighs whole sessions against each other (autogroup): without this, being nice is of no use.
    with open("/proc/self/autogroup", "w") as group:
        group.write("19")
except OSError:
    pass
while os.getppid() == {parent}:
    [None for _ in range(100000)]
"""


def put_first(pid: int) -> bool:
    """Let a process go before everybody else on the machine; whether that was allowed.

    Not beside `awake`: Linux takes the core for 50 ms of each second from a real-time process that keeps it busy, for anybody
    else who is bound to that core, and then these 50 ms are what is measured. Who is bound to none goes to another core.
    """
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, PermissionError):
        return False
    return True


class RunFailed(Exception):
    """A program of a contender ended badly, or did not do its work in time; the text says how."""


class Process:
    """A program of a contender that runs inside a `with` block, such as a worker.

    Args:
        command: its words.
        environment: besides our own.
        log: where its output goes.
        stdin: whether it is given a pipe to read from.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, stdin: bool = False
    ) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._log = log
        self._stdin = stdin

    def __enter__(self) -> Self:
        self.started_ns = time.time_ns()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=PROGRAMS,
                stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        # Whatever it has left behind: the session is ours, and so is everything in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def check(self) -> None:
        """Raise RunFailed if it has ended badly."""
        code = self._process.poll()
        if code:
            raise RunFailed(f"it ended with exit code {code}: {tail(self._log)}")


@contextlib.contextmanager
def worker(*options: str, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`taskflow worker` with these options, for as long as the block lasts."""
    command = [sys.executable, "-m", "taskflow", "worker", *options]
    process = subprocess.Popen(command, cwd=folder)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def call(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> str:
    """Run a program to its end; what it printed."""
    process = subprocess.Popen(
        list(command),
        env={**os.environ, **environment},
        cwd=PROGRAMS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"not done within {timeout:g} s: {' '.join(command[-4:])}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    if process.returncode != 0:
        raise RunFailed(short(errors) or f"exit code {process.returncode}")
    return output


def tail(log: Path) -> str:
    """What a program has said, on one line."""
    return short(log.read_text(errors="replace") if log.exists() else "") or "it said nothing"


def short(text: str) -> str:
    """A text on one line: its start and its end where it is long."""
    line = " | ".join(part.strip() for part in text.strip().splitlines())
    return line if len(line) <= 600 else f"{line[:300]} … {line[-300:]}"


def group_memory(leader: int) -> int:
    """The bytes of memory of a process, its group and all that they have started (in groups of their own, too); shared pages
    by share (PSS).
    """
    parents: dict[int, int] = {}
    counted = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                # After the name, which may hold anything: state, then the parent.
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if os.getpgid(pid) == leader:
                    counted.add(pid)
    while found := {pid for pid, parent in parents.items() if parent in counted} - counted:
        counted |= found
    total = 0
    for pid in counted:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


@contextlib.contextmanager
def awake(enabled: bool) -> Iterator[None]:
    """Keep every core from sleeping by a busy loop of the lowest priority on each."""
    spin = _SPIN.format(parent=os.getpid())
    loops = [
        subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(os.cpu_count() or 1 if enabled else 0)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait(10)
