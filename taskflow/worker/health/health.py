"""Is this worker alive, in the sense that matters: does it get anything done?

Measured is progress, not existence: a process that runs and takes nothing is the failure that users of task queues report
most. A broker that is away makes no loop stand still: each tries again and counts as alive.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ...errors import NotPrivate
from ...telemetry.counts import TaskCount
from ..service import Service
from .health_file import HealthFile
from .troubles import SHOWN

logger = logging.getLogger("taskflow.worker")


MOST_TASKS = 50
"""Names of tasks in an answer: it has to fit into the buffer of a socket."""


class Complaining(Protocol):
    """A part of the worker that knows when something is wrong with it."""

    def complaints(self) -> list[str]:
        """What is wrong, a line for each; nothing: all is well. Called once a second, on the worker's loop."""


class Health(Service):
    """Looks at the other loops, rebuilds one that stands still, hears the complaints of the worker's parts, and lets others know.

    Args:
        services: the loops.
        file: where the state is written for `taskflow worker --check`, or None.
        parts: what may have complaints.
        children: how many children take work, and how many should.
        tasks: what was counted of the tasks, those first that run most often.
    """

    name = "health"

    def __init__(
        self,
        services: Sequence[Service],
        file: HealthFile | None = None,
        parts: Sequence[Complaining] = (),
        children: Callable[[], tuple[int, int]] | None = None,
        tasks: Callable[[], Sequence[TaskCount]] | None = None,
    ) -> None:
        super().__init__()
        self._services = services
        self._file = file
        self._parts = parts
        self._children = children
        self._tasks = tasks
        self._rebuilt: dict[Service, float] = {}
        """When each was started anew, on the monotonic clock."""
        self._state: dict[str, object] = {"ok": True, "why": [], "still": {}}
        self.rebuilds = 0

    async def tick(self) -> float:
        """One look at everything."""
        now = time.monotonic()
        wedged = [
            service
            for service in self._services
            if service.still_for(now) > self.timings.still
            and now - self._rebuilt.get(service, 0.0) > self.timings.still
        ]
        # What is seen is told before it is mended, which may take a while.
        self._look(now)
        for service in wedged:
            logger.error(
                "%s has stood still for %.0f s; it is started anew", service.name, service.still_for(now)
            )
            self._rebuilt[service] = now
            self.rebuilds += 1
        await asyncio.gather(*(service.rebuild(keep_age=True) for service in wedged))
        return self.timings.look

    def state(self) -> dict[str, object]:
        """How it is. May be asked from any thread, and also tells when this very loop does not get on.

        `ok` says whether all is well, `why` what is not (a line for each), `still` which loops stand still and for how many
        seconds, `children` how many take work and how many should, `tasks` how many attempts at tasks of a name have ended, how
        many of them failed, and how many seconds all took together and the longest.
        """
        seconds = self.still_for(time.monotonic())
        state = self._state
        if seconds <= self.timings.still:
            return state
        return {
            **state,
            "ok": False,
            "why": [f"the worker's event loop has stood still for {seconds:.0f} s"],
            "still": {self.name: round(seconds, 1)},
        }

    def forget(self) -> None:
        """Remove the file at a clean stop."""
        if self._file is not None:
            self._file.remove()

    def _look(self, now: float) -> None:
        still = {
            service.name: round(seconds, 1)
            for service in self._services
            if (seconds := service.still_for(now)) > self.timings.still
        }
        why = [f"{name} has stood still for {seconds:.0f} s" for name, seconds in list(still.items())[:SHOWN]]
        if len(still) > SHOWN:
            why.append(f"{len(still) - SHOWN} more loops stand still")
        state: dict[str, object] = {"still": still}
        if self._children is not None:
            alive, wanted = self._children()
            state["children"] = {"alive": alive, "wanted": wanted}
        if self._tasks is not None:
            state["tasks"] = {one.name: _numbers(one) for one in self._tasks()[:MOST_TASKS]}
        for part in self._parts:
            try:
                why += part.complaints()
            except Exception:
                logger.exception("The %s could not say how it is", type(part).__name__.lower())
                why.append(f"the {type(part).__name__.lower()} cannot say how it is")
        self._state = {"ok": not why, "why": why, **state}
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        who = "the file for `taskflow worker --check`"
        try:
            # `--check` asks whether it is well.
            self._file.write({name: value for name, value in self.state().items() if name != "tasks"})
        except (OSError, NotPrivate) as error:
            # A container may be read-only, and its probe asks the port.
            self.troubles.failed(who, error, grave=False, note="--check does not find this worker")
        else:
            self.troubles.worked(who)


def _numbers(one: TaskCount) -> dict[str, float]:
    return {
        "count": one.count,
        "failures": one.failures,
        "seconds": round(one.seconds, 6),
        "longest": round(one.longest_seconds, 6),
    }
