"""How the soak runs, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

PREFIX = "TASKFLOW_SOAK_"

MIX = {"ok": 70, "coroutine": 10, "kept": 5, "fails": 5, "fails_twice": 3, "big": 5, "cancelled": 2}
"""How many of a hundred tasks are of each kind."""

ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
}
"""glibc gives back what is free, at once, and hoards nothing: of what a process holds, only what it uses is left.

Measured over 300 000 tasks in one child, after `gc.collect()`: Python's objects stayed as many, and the bytes that malloc counts
as in use went up by 3 a task for ever slower, since each of 24 threads keeps up to 7 freed pieces of each of 64 sizes for
itself, and counts them as used. Without that cache they stayed the same to the byte. The arenas and thresholds are for bursts
of big tasks, which would look as if they had stayed.
"""


@dataclass(frozen=True)
class Settings:
    """Each is also a variable: `TASKFLOW_SOAK_TASKS=20000`.

    Args:
        tasks: how many.
        kill_seconds: from one cut of all connections to the next.
        looks: how often everything stands still, and memory, files and threads are looked at.
        big_bytes: the payload of a big task.
        backlog: how many tasks wait at most.
        concurrency: of each child.
        processes: children.
        settle_seconds: how long to wait at the end until there are as few keys as before: what was taken is remembered for a
            minute. 0: keys that will end by themselves are not counted.
        growth_mib: by how much a process may grow in the second half, as its slope says.
        leak: planted leaks, to see that they are found: some of worker, child, files, threads, keys, with commas between; see
            `leaks.py`.
        leak_bytes: of a leak of memory, for each task.
        out: where the samples are written, as JSON lines; empty: nowhere.
    """

    tasks: int = 2_000_000
    kill_seconds: float = 5.0
    looks: int = 32
    big_bytes: int = 100_000
    backlog: int = 5_000
    concurrency: int = 20
    processes: int = 2
    settle_seconds: float = 90.0
    growth_mib: float = 1.5
    leak: str = ""
    leak_bytes: int = 20
    out: str = ""

    @classmethod
    def from_environment(cls) -> Settings:
        """The defaults, and what the environment says instead."""
        given: dict[str, Any] = {}
        for name, default in cls().__dict__.items():
            text = os.environ.get(PREFIX + name.upper())
            if text is not None:
                given[name] = type(default)(text)
        return cls(**given)
