"""Which commands fail, and how; and how often each was called, in all processes of a run.

Every process counts in a file of its own that is mapped into memory, so that its numbers outlive a kill -9.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import threading
import time
import weakref
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

VARIABLE = "TASKFLOW_FAULTS"
"""`rate,seed,directory`: switches the faults on in a process that has `site/` on its PYTHONPATH."""

_NAME = 40
_ROW = struct.Struct(f"<{_NAME}s3Q")
_ROWS = 128


class Fate(Enum):
    """What happens to a command."""

    PASS = "passed"
    BEFORE = "failed before it ran"
    AFTER = "ran, and its reply was lost"


@dataclass
class Counts:
    """Of one command: how often it was sent, and how often it failed."""

    calls: int = 0
    before: int = 0
    after: int = 0


class Faults:
    """Decides for each command, and counts.

    Each fails with probability `rate`, half of them before and half after. A command that is rare must not be spared: the
    first two calls of each in a run fail in one way and in the other.

    Args:
        rate: of the commands that fail.
        seed: of the dice.
        directory: where the processes of a run meet.
    """

    def __init__(self, rate: float, seed: int, directory: Path) -> None:
        self._rate = rate
        self._seed = seed
        self._directory = directory
        self.paused = False
        """While set nothing fails: for what happens between tests, and tests of exact replies."""
        self._start()
        _all.add(self)

    @classmethod
    def from_environment(cls) -> Faults | None:
        """What `TASKFLOW_FAULTS` says, or None."""
        text = os.environ.get(VARIABLE)
        if not text:
            return None
        rate, seed, directory = text.split(",", 2)
        return cls(float(rate), int(seed), Path(directory))

    def environment(self) -> dict[str, str]:
        """For child processes."""
        return {VARIABLE: f"{self._rate},{self._seed},{self._directory}"}

    def begin(self, name: str) -> None:
        """Take dice of its own for the test of this name: what it sends itself meets the same faults, run by run,
        whatever ran before. Those of the workers that it starts differ by their process ids.
        """
        self._rng = random.Random(f"{self._seed} {name}")

    def _start(self) -> None:
        # A signal handler that enqueues may come while its own thread is in here; and in a forked child that thread may not be.
        self._lock = threading.RLock()
        self._rng = random.Random(f"{self._seed} {os.getpid()}")
        self._rows: dict[str, int] = {}
        self._forced: set[tuple[str, Fate]] = set()
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(
            self._directory / f"{os.getpid()}-{random.getrandbits(32):08x}.counts", os.O_RDWR | os.O_CREAT
        )
        os.ftruncate(descriptor, _ROW.size * _ROWS)
        self._table = mmap.mmap(descriptor, _ROW.size * _ROWS)
        os.close(descriptor)

    def fate(self, name: str) -> Fate:
        """What happens to this call."""
        if self.paused:
            return Fate.PASS
        with self._lock:
            fate = self._decide(name)
            self._count(name, fate)
            if fate is not Fate.PASS:
                self._note(name, fate)
            return fate

    def _decide(self, name: str) -> Fate:
        for fate in (Fate.BEFORE, Fate.AFTER):
            if (name, fate) not in self._forced:
                self._forced.add((name, fate))
                if self._is_first(name, fate):
                    return fate
        if self._rng.random() >= self._rate:
            return Fate.PASS
        return Fate.BEFORE if self._rng.random() < 0.5 else Fate.AFTER

    def _is_first(self, name: str, fate: Fate) -> bool:
        """Whether nobody in this run has failed so before."""
        try:
            os.close(os.open(self._directory / f"{name}.{fate.name}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _note(self, name: str, fate: Fate) -> None:
        """For who reads why a test failed. Append-only, a line by one write: all processes share it."""
        line = f"{time.time():.3f} {os.getpid()} {name} {fate.value}\n"
        descriptor = os.open(_story(self._directory), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def _count(self, name: str, fate: Fate) -> None:
        row = self._rows.setdefault(name, len(self._rows))
        if row < _ROWS:
            at = row * _ROW.size
            _, calls, before, after = _ROW.unpack_from(self._table, at)
            values = (calls + 1, before + (fate is Fate.BEFORE), after + (fate is Fate.AFTER))
            _ROW.pack_into(self._table, at, name.encode()[:_NAME], *values)


def story(directory: Path, since: float) -> list[str]:
    """The faults since then (Unix seconds) in this xdist worker and what it has started: time, process, command, fate."""
    path = _story(directory)
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if float(line.split()[0]) >= since]


def _story(directory: Path) -> Path:
    return directory / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.story"


_all: weakref.WeakSet[Faults] = weakref.WeakSet()


def _after_fork() -> None:
    """A forked child counts in a file of its own, and has dice of its own."""
    for faults in list(_all):
        faults._start()


os.register_at_fork(after_in_child=_after_fork)


def totals(directory: Path) -> dict[str, Counts]:
    """What all processes have counted, by the command's name."""
    found: dict[str, Counts] = {}
    for path in directory.glob("*.counts"):
        for raw, calls, before, after in _ROW.iter_unpack(path.read_bytes()):
            if name := raw.rstrip(b"\0").decode():
                one = found.setdefault(name, Counts())
                one.calls += calls
                one.before += before
                one.after += after
    return found


def table(counts: dict[str, Counts]) -> list[str]:
    """The counts as lines of text."""
    lines = [f"{'command':<24}{'calls':>9}{'before':>8}{'after':>8}"]
    for name, one in sorted(counts.items(), key=lambda item: -item[1].calls):
        lines.append(f"{name:<24}{one.calls:>9}{one.before:>8}{one.after:>8}")
    whole: Counter[str] = Counter()
    for one in counts.values():
        whole.update(calls=one.calls, before=one.before, after=one.after)
    rate = (whole["before"] + whole["after"]) / max(whole["calls"], 1)
    lines.append(f"{'all':<24}{whole['calls']:>9}{whole['before']:>8}{whole['after']:>8}   {rate:.2%} failed")
    return lines
