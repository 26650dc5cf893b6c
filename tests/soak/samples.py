"""Looks at processes from outside, and says whether they grow."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

WINDOWS = 8

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Sample:
    """A process at one moment: seconds since the start, its memory and its open files."""

    at: float
    pid: int
    mib: float
    files: int


def children_of(pid: int) -> list[int]:
    """The process ids of its children."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as children:
                found += [int(one) for one in children.read().split()]
    return found


def look(pid: int, at: float) -> Sample | None:
    """One look; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            pages = int(statm.read().split()[1])
        return Sample(at, pid, round(pages * _PAGE_MIB, 3), len(os.listdir(f"/proc/{pid}/fd")))
    except (OSError, IndexError):
        return None


class Sampler:
    """Looks at processes again and again, in a thread.

    Args:
        pids: which there are now.
        seconds: from one look to the next.
        out: a file of JSON lines, or None.
    """

    def __init__(self, pids: Callable[[], list[int]], seconds: float, out: Path | None) -> None:
        self._pids = pids
        self._seconds = seconds
        self._out = out
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.began = time.monotonic()
        self.samples: list[Sample] = []

    def start(self) -> None:
        self.began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            at = round(time.monotonic() - self.began, 2)
            found = [sample for pid in self._pids() if (sample := look(pid, at)) is not None]
            self.samples += found
            if self._out is not None:
                with self._out.open("a") as file:
                    file.writelines(json.dumps(asdict(sample)) + "\n" for sample in found)


@dataclass(frozen=True)
class Growth:
    """What a process did in the second half of a run.

    `mib` is what its slope comes to over the half: least squares over the least of each of `WINDOWS` windows, since what runs at
    the moment goes up and down, and a leak only up. `files`: the most of the second half over the most of the first.
    """

    pid: int
    samples: int
    first_mib: float
    last_mib: float
    most_mib: float
    mib: float
    files: int
    most_files: int


def growth(samples: list[Sample], until: float) -> list[Growth]:
    """For each process that lived through the second half."""
    by_pid: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.at <= until:
            by_pid[sample.pid].append(sample)
    found = []
    for pid, own in by_pid.items():
        first = [sample for sample in own if sample.at < until / 2]
        second = [sample for sample in own if sample.at >= until / 2]
        if len(first) >= 2 and len(second) >= 2:
            found.append(
                Growth(
                    pid,
                    len(own),
                    second[0].mib,
                    second[-1].mib,
                    max(sample.mib for sample in own),
                    round(slope(floor(second)) * (second[-1].at - second[0].at), 3),
                    max(sample.files for sample in second) - max(sample.files for sample in first),
                    max(sample.files for sample in own),
                )
            )
    return found


def floor(samples: list[Sample]) -> list[Sample]:
    """The least of each window."""
    size = max(len(samples) // WINDOWS, 1)
    windows = [samples[start : start + size] for start in range(0, len(samples), size)]
    return [min(window, key=lambda sample: sample.mib) for window in windows]


def slope(samples: list[Sample]) -> float:
    """MiB a second."""
    mean_at, mean_mib = fmean(one.at for one in samples), fmean(one.mib for one in samples)
    spread = sum((one.at - mean_at) ** 2 for one in samples)
    return sum((one.at - mean_at) * (one.mib - mean_mib) for one in samples) / spread if spread else 0.0
