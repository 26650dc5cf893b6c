"""The stop of a worker, in its order: nothing is taken, what runs gets its grace, and what became of it is written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..telemetry.events import WorkerStopped, emit
from ..telemetry.saying import counted
from .errands import said
from .health.health import Health
from .parts import Parts
from .serving import Serving

logger = logging.getLogger("taskflow.worker")

STOP_SECONDS = 10.0
"""How long a stop waits for loops that do not want to end: what is held has to be handed back all the same."""

DELIVERY_SECONDS = 5.0
"""How long a stop waits for followers of the last tasks to be delivered: those that are not, another worker delivers."""

FLUSH_SECONDS = 10.0
"""How long a stop waits for the last verdicts to be written."""


async def shut_down(parts: Parts, serving: Serving, health: Health, grace: Callable[[], float]) -> None:
    """Stop everything. Whatever a step raises, the next is made: what is held has to be handed back.

    Args:
        parts: what the loops share.
        serving: the loops.
        health: its watch.
        grace: seconds that running tasks have, as it is now: a second signal makes it 0.
    """
    started = time.monotonic()
    serving.status = "closed"
    with said("the stop of the watch"):
        await health.stop()
    with said("the stop of taking"):
        async with asyncio.timeout(STOP_SECONDS):
            await serving.takers.stop()
    with said("the end of the child processes"):
        await parts.supervisor.drain(grace)
    with said("the writing of the last verdicts"):
        if not await parts.acker.drain(FLUSH_SECONDS):
            logger.error(
                "%s could not be handed back; every lease ends within %d s",
                counted(len(parts.held_tasks), "task"),
                parts.config.timings.lease,
            )
    with said("the delivery of the last followers"):
        await parts.courier.drain(DELIVERY_SECONDS)
    with said("the stop of the loops"):
        async with asyncio.timeout(STOP_SECONDS):
            await serving.stop()
    with said("the removal of the worker's record"):
        await serving.clear()
    ended = parts.supervisor.counts.sum()
    emit(WorkerStopped(time.monotonic() - started, ended.count, ended.failures))
