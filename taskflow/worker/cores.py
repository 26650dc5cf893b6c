"""How many cores this process may use: what `-c auto` means."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """The cores that this process may run on, or the container's share of them where that is less; at least 1.

    Args:
        cgroup: where the kernel shows the limits of this process's container (cgroup v2).
    """
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(cores, ceil(_quota(cgroup / "cpu.max") or cores)))


def _quota(file: Path) -> float | None:
    """Cores that the container may use on average; None: as many as there are."""
    try:
        quota, period = file.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup v2, or "max": no limit
        return None
