"""What the harness changes in the processes under test, from their environment: planted bugs, the lease, the clock.

Nothing of this is in the product. It patches modules at the start of a process that the harness has started.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

PLANT = "TASKFLOW_CHAOS_PLANT"
LEASE = "TASKFLOW_CHAOS_LEASE"
SKEW = "TASKFLOW_CHAOS_SKEW"
TIMEOUT = "TASKFLOW_CHAOS_ENQUEUE_TIMEOUT"
DURABLE = "TASKFLOW_CHAOS_DURABLE"


@cache
def apply() -> None:
    """Make the changes that the environment asks for, once in this process."""
    if skew := float(os.environ.get(SKEW, "0")):
        _skew(skew)
    if lease := int(os.environ.get(LEASE, "0")):
        _shorten(lease)
    if plant := os.environ.get(PLANT):
        from . import plants

        plants.PLANTS[plant].apply()


def app_options() -> dict[str, Any]:
    """Defaults for the app's tasks."""
    options: dict[str, Any] = {"enqueue_timeout": float(os.environ.get(TIMEOUT, "30"))}
    if durable := os.environ.get(DURABLE):
        options["durable"] = "strict" if durable == "strict" else True
    return options


def _skew(seconds: float) -> None:
    """Put this process's wall clock ahead (or behind): as far as Python code can see."""
    real = time.time
    time.time = lambda: real() + seconds


def _shorten(seconds: int) -> None:
    """A shorter lease, so that a run need not wait for 30 s ones."""
    from taskflow.worker import timings

    timings.TIMINGS = timings.Timings(lease=seconds, lease_extension=seconds / 6)
