"""What the harness changes in the processes under test, from their environment: planted bugs, times, the clock.

Nothing of this is in the product. It patches modules at the start of a process that the harness has started.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from taskflow.worker import timings
from taskflow.worker.timings import TIMINGS, Timings

PLANT = "TASKFLOW_CHAOS_PLANT"
LEASE = "TASKFLOW_CHAOS_LEASE"
STUCK = "TASKFLOW_CHAOS_STUCK"
SKEW = "TASKFLOW_CHAOS_SKEW"
TIMEOUT = "TASKFLOW_CHAOS_ENQUEUE_TIMEOUT"
DURABLE = "TASKFLOW_CHAOS_DURABLE"


@cache
def apply() -> None:
    """Make the changes that the environment asks for, once in this process."""
    if skew := float(os.environ.get(SKEW, "0")):
        _skew(skew)
    timings.TIMINGS = quick(
        int(os.environ.get(LEASE, TIMINGS.lease)), float(os.environ.get(STUCK, TIMINGS.stuck))
    )
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


def quick(lease: int = TIMINGS.lease, stuck: float = TIMINGS.stuck) -> Timings:
    """A worker's times with a shorter lease and less patience with children, and in proportion whatever looks for their ends: so
    that a run need not wait for leases of 30 s.
    """
    part, patience = lease / TIMINGS.lease, stuck / TIMINGS.stuck
    names = ("lease_extension", "heartbeat", "recover", "expire", "sweep", "second_look")
    return Timings(
        lease=lease,
        **{name: getattr(TIMINGS, name) * part for name in names},
        stuck=stuck,
        complain=TIMINGS.complain * patience,
        ask=TIMINGS.ask * patience,
    )
