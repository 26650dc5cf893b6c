"""How the soak runs, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

PREFIX = "TASKFLOW_SOAK_"

MIX = {"ok": 70, "coroutine": 10, "kept": 5, "fails": 5, "fails_twice": 3, "big": 5, "cancelled": 2}
"""How many of a hundred tasks are of each kind."""


@dataclass(frozen=True)
class Settings:
    """Each is also a variable: `TASKFLOW_SOAK_TASKS=20000`.

    Args:
        tasks: how many.
        kill_seconds: from one cut of all connections to the next.
        sample_seconds: from one look at memory and files to the next.
        big_bytes: the payload of a big task.
        backlog: how many tasks wait at most.
        concurrency: of each child.
        processes: children.
        growth_mib: by how much a process may grow in the second half, as its slope says.
        out: where the samples are written, as JSON lines; empty: nowhere.
    """

    tasks: int = 1_000_000
    kill_seconds: float = 60.0
    sample_seconds: float = 2.0
    big_bytes: int = 100_000
    backlog: int = 5_000
    concurrency: int = 20
    processes: int = 2
    growth_mib: float = 3.0
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
