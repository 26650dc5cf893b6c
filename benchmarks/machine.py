"""Where a run took place."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader of the numbers has to know about the machine."""

    date: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    commit: str
    load: float
    """Of the last minute, before the run: others who use the machine spoil the numbers."""


def look() -> Machine:
    """This machine, now."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        commit=_commit(),
        load=os.getloadavg()[0],
    )


def longest_gap(seconds: float) -> float:
    """The longest time, in seconds, for which a loop that only reads the clock is held up on this machine now."""
    clock, longest = time.perf_counter, 0.0
    last = clock()
    end = last + seconds
    while last < end:
        now = clock()
        longest = max(longest, now - last)
        last = now
    return longest


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
