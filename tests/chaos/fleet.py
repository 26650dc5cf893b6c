"""The processes under test: workers and producers, started, hurt, replaced, and always ended by process id."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.workers import ROOT

_REFUSED = "A late verdict on task"
_LEASE_LOST = re.compile(r"(\d+) tasks? of queue \S+ had lost (?:its|their) worker")
_NO_BROKER = "Error: no answer from the broker"
_UNEXPECTED = re.compile(r"unexpected error|Traceback|exception was never retrieved|script .\w+. failed")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How the workers of a run are started."""

    count: int = 2
    pool: str = "threads"
    concurrency: int = 8
    processes: int = 2
    grace: float = 2.0

    @property
    def slots(self) -> int:
        """Tasks that all of them run at once."""
        each = self.concurrency * self.processes
        return self.count * each


@dataclass
class Member:
    """One place in the fleet, and the process that fills it."""

    number: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    expected_to_end: bool = False
    logs: list[Path] = field(default_factory=list)


class Fleet:
    """Some workers on the same queues.

    Args:
        url: the broker.
        queues: their names.
        directory: for their logs.
        environment: what the harness changes in them.
        options: how they run.
        skews: seconds that the clock of each is ahead, in turn.
    """

    def __init__(
        self,
        url: str,
        queues: tuple[str, ...],
        directory: Path,
        environment: Mapping[str, str],
        options: WorkerOptions,
        skews: tuple[float, ...] = (),
    ) -> None:
        self._directory = directory
        self._options = options
        self._command = [
            sys.executable,
            "-m",
            "tests.chaos.worker",
            "worker",
            "--app=tests.chaos.app",
            f"--broker={url}",
            f"--queues={','.join(queues)}",
            f"--pool={options.pool}",
            f"--concurrency={options.concurrency}",
            f"--processes={options.processes}",
            f"--grace={options.grace:g}",
            "--log-level=warning",
        ]
        self.lock = threading.RLock()
        self.members = []
        for number in range(options.count):
            skew = {"TASKFLOW_CHAOS_SKEW": str(skews[number % len(skews)])} if skews else {}
            self.members.append(Member(number, {**environment, **skew}))
        self.problems: list[str] = []
        self._stopped = False

    def start(self) -> None:
        """Start every worker."""
        for member in self.members:
            self.start_one(member)

    def start_one(self, member: Member) -> None:
        """Fill a place with a new process."""
        log = self._directory / f"worker-{member.number}-{len(member.logs)}.log"
        with self.lock, log.open("ab") as stream:
            member.logs.append(log)
            member.expected_to_end = False
            member.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **member.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                process_group=0,
            )

    def replace(self, member: Member, number: signal.Signals, timeout: float) -> None:
        """Send a signal that ends a worker, wait for its end, and fill its place again."""
        with self.lock:
            self.end_one(member, number, timeout)
            self.start_one(member)

    def end_one(self, member: Member, number: signal.Signals, timeout: float) -> None:
        """Send a signal that ends a worker, and wait for its end."""
        process = member.process
        assert process is not None
        member.expected_to_end = True
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            state = _state(process.pid)
            process.send_signal(signal.SIGXCPU)
            time.sleep(1.0)  # it writes its stacks
            tail = member.logs[-1].read_text(errors="replace")[-3000:]
            self.problems.append(
                f"worker {member.number} ({state}) had not ended {timeout:g} s after {number.name}: {tail}"
            )
            self._kill_group(process)
        self._close(process)

    def children(self, member: Member) -> list[int]:
        """The process ids of a worker's children."""
        return [] if member.process is None else list(_children(member.process.pid))

    def check(self) -> None:
        """Note workers that have ended although nobody told them to, and replace them."""
        with self.lock:
            for member in self.members:
                process = member.process
                if process is None or process.poll() is None or member.expected_to_end:
                    continue
                tail = member.logs[-1].read_text(errors="replace")[-800:]
                # At its start it gives up within 5 s where the broker is away: whoever runs it starts it again.
                if not (process.returncode == 2 and _NO_BROKER in tail):
                    self.problems.append(
                        f"worker {member.number} ended by itself with code {process.returncode}: {tail}"
                    )
                self._close(process)
                self.start_one(member)

    def stop(self) -> None:
        """End every worker gracefully if it can, by force if it must."""
        if not self._stopped:
            self.check()
        self._stopped = True
        running = [m.process for m in self.members if m.process is not None and m.process.poll() is None]
        for patience in (15, 10):
            for process in running:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + patience
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0.01))
        for member in self.members:
            if member.process is not None:
                if member.process.poll() is None:
                    self.problems.append(f"worker {member.number} did not stop when it was asked to, twice")
                self._kill_group(member.process)
                self._close(member.process)

    def refused(self) -> int:
        """Late verdicts that were refused, as the workers' logs say."""
        return sum(text.count(_REFUSED) for text in self._texts())

    def lease_losses(self) -> int:
        """Tasks that were given back because their lease had ended, as the workers' logs say."""
        return sum(int(match[1]) for text in self._texts() for match in _LEASE_LOST.finditer(text))

    def unexpected(self) -> list[str]:
        """Lines of the logs that no log should have, each with some of those that follow."""
        found = []
        for text in self._texts():
            lines = text.splitlines()
            found += [
                "\n".join(lines[at : at + 20]) for at, line in enumerate(lines) if _UNEXPECTED.search(line)
            ]
        return found

    def _texts(self) -> Iterator[str]:
        for member in self.members:
            for log in member.logs:
                yield log.read_text(errors="replace")

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()


class Producers:
    """Some producer processes, with a few threads each."""

    def __init__(
        self,
        count: int,
        threads: int,
        rate: float,
        queues: tuple[str, ...],
        mix: str,
        seed: int,
        prefix: str = "p",
    ) -> None:
        self._prefix = prefix
        self._commands = [
            [
                sys.executable,
                "-m",
                "tests.chaos.producer",
                f"--name={prefix}{number}",
                f"--queues={','.join(queues)}",
                f"--rate={rate / count}",
                f"--threads={threads}",
                f"--mix={mix}",
                f"--seed={seed}",
            ]
            for number in range(count)
        ]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._directory = Path()

    def start(self, directory: Path, environment: Mapping[str, str]) -> None:
        """Start producing."""
        self._directory = directory
        for number, command in enumerate(self._commands):
            with (directory / f"producer-{self._prefix}{number}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                    )
                )

    def finish(self, timeout: float) -> list[str]:
        """Let them end: no new calls, those under way to their outcome. What went wrong, in words."""
        problems = []
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        deadline = time.monotonic() + timeout
        for number, process in enumerate(self._processes):
            try:
                code = process.wait(max(deadline - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                problems.append(
                    f"producer {self._prefix}{number} did not end within {timeout:g} s: a call hangs"
                )
                continue
            if code:
                log = (self._directory / f"producer-{self._prefix}{number}.log").read_text(errors="replace")
                problems.append(f"producer {self._prefix}{number} ended with code {code}: {log[-800:]}")
        return problems

    def kill(self) -> None:
        """End what is left."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            if process.stdin is not None:
                process.stdin.close()


def _state(pid: int) -> str:
    """What the kernel says of a process: running, sleeping, stopped."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return "gone"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("State:")), "unknown")


def _children(pid: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z" and b"taskflow.runner" in command:
            yield int(entry.name)
