"""A task that keeps memory for ever."""

from __future__ import annotations

import os
import time

from taskflow import TaskFlow

app = TaskFlow("leaking", retention=600, max_retries=0)

_kept: list[bytearray] = []


@app.task
def leak(megabytes: int, seconds: float) -> tuple[int, int]:
    """Which process it ran in, and how many MiB of memory that has now."""
    _kept.append(bytearray(megabytes << 20))
    time.sleep(seconds)
    with open("/proc/self/statm") as file:
        return os.getpid(), int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
