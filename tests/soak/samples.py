"""Looks at processes from outside, and says whether they grow."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

WINDOWS = 8
GLANCES = 5
GLANCE_SECONDS = 0.02

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Sample:
    """A process while nothing runs in it: after how many tasks, its memory now and at the most, its open files and threads."""

    tasks: int
    pid: int
    role: str
    mib: float
    most_mib: float
    files: int
    threads: int


def children_of(pid: int) -> list[int]:
    """The process ids of its children."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as children:
                found += [int(one) for one in children.read().split()]
    return found


def glance(pid: int, role: str, tasks: int) -> Sample | None:
    """One look; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            mib = int(statm.read().split()[1]) * _PAGE_MIB
        with open(f"/proc/{pid}/status") as status:
            (most,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
        files, threads = len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    except (OSError, ValueError):
        return None
    return Sample(tasks, pid, role, round(mib, 3), int(most) / 1024, files, threads)


class Sampler:
    """Looks at processes whenever it is asked to.

    Args:
        processes: which there are now, and what each is.
        out: a file of JSON lines, or None.
    """

    def __init__(self, processes: Callable[[], Mapping[int, str]], out: Path | None) -> None:
        self._processes = processes
        self._out = out
        self.samples: list[Sample] = []

    def look(self, tasks: int) -> None:
        """Look after so many tasks. A heartbeat may be under way: the least of a few glances counts."""
        glances: dict[int, list[Sample]] = defaultdict(list)
        for _ in range(GLANCES):
            time.sleep(GLANCE_SECONDS)
            for pid, role in self._processes().items():
                if sample := glance(pid, role, tasks):
                    glances[pid].append(sample)
        found = [min(own, key=lambda sample: sample.mib) for own in glances.values()]
        self.samples += found
        if self._out is not None:
            with self._out.open("a") as file:
                file.writelines(json.dumps(asdict(sample)) + "\n" for sample in found)


@dataclass(frozen=True)
class Growth:
    """What a process did in the second half of a run.

    Args:
        pid: its process id.
        role: client, worker or child.
        half_mib: its memory at the half, the least of a window.
        end_mib: at the end, the least of a window.
        most_mib: the most it ever had, while it worked.
        mib: what its slope comes to over the half: least squares over the least of each of `WINDOWS` windows, since what a
            heartbeat or a reconnection needs comes and goes, and a leak stays.
        files: the least of the fourth quarter over the least of the third.
        threads: as for files.
        most_files: the most open files of all looks.
    """

    pid: int
    role: str
    half_mib: float
    end_mib: float
    most_mib: float
    mib: float
    files: int
    threads: int
    most_files: int


def growth(samples: list[Sample], tasks: int) -> list[Growth]:
    """For each process that lived through the whole run; `tasks`: how long that was."""
    by_pid: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_pid[sample.pid].append(sample)
    return [
        _growth(own, tasks) for own in by_pid.values() if own[0].tasks <= tasks / 4 and own[-1].tasks == tasks
    ]


def _growth(own: list[Sample], tasks: int) -> Growth:
    third = [sample for sample in own if tasks / 2 <= sample.tasks < tasks * 3 / 4]
    fourth = [sample for sample in own if tasks * 3 / 4 <= sample.tasks]
    least = floor(third + fourth)
    return Growth(
        own[0].pid,
        own[0].role,
        least[0].mib,
        least[-1].mib,
        own[-1].most_mib,
        round(slope(least) * tasks / 2, 3),
        min(one.files for one in fourth) - min(one.files for one in third),
        min(one.threads for one in fourth) - min(one.threads for one in third),
        max(sample.files for sample in own),
    )


def floor(samples: list[Sample]) -> list[Sample]:
    """The least of each window."""
    bounds = [len(samples) * number // WINDOWS for number in range(WINDOWS + 1)]
    return [
        min(samples[start:end], key=lambda sample: sample.mib) for start, end in itertools.pairwise(bounds)
    ]


def slope(samples: list[Sample]) -> float:
    """MiB a task."""
    mean_tasks, mean_mib = fmean(one.tasks for one in samples), fmean(one.mib for one in samples)
    spread = sum((one.tasks - mean_tasks) ** 2 for one in samples)
    return sum((one.tasks - mean_tasks) * (one.mib - mean_mib) for one in samples) / spread if spread else 0.0
