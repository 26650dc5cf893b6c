"""What becomes of tasks that were just taken: to a child, to a verdict without having run, or back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ...broker.commands.dequeue import Taken
from ...clock import ServerClock
from ...message.outcome import Outcome
from ...states import Verb
from ..children.poison import MOST_CRASHES, archive_poison
from ..children.supervisor import Supervisor
from ..holding.cancels import Cancels, archive_cancelled, is_marked
from ..holding.expiry import archive_expired
from ..holding.held_tasks import Held, HeldTasks

logger = logging.getLogger("taskflow.worker")

Outcomes = Callable[[list[tuple[Held, Outcome]]], None]


class Intake:
    """Takes what the fetchers bring. From here on each task is held, until its verdict is written.

    Args:
        held_tasks: what is held.
        supervisor: who gives them to children.
        outcomes: takes verdicts.
        clock: the server's time.
        is_open: whether tasks are wanted; what a fetch brings after that goes back.
        cancels: has orders for tasks that come only now.
    """

    def __init__(
        self,
        held_tasks: HeldTasks,
        supervisor: Supervisor,
        outcomes: Outcomes,
        clock: ServerClock,
        is_open: Callable[[], bool],
        cancels: Cancels,
    ) -> None:
        self._held_tasks = held_tasks
        self._supervisor = supervisor
        self._outcomes = outcomes
        self._clock = clock
        self._is_open = is_open
        self._cancels = cancels

    def take(self, queue: str, tasks: list[Taken]) -> None:
        """Tasks of one queue that are ours now."""
        now = time.monotonic()
        items = [Held(queue, taken, now) for taken in tasks]
        self._held_tasks.add(queue, items)
        if not self._is_open():
            self._hand_back(items)
            return
        try:
            if any([taken.crashes or taken.expires_at for taken in tasks]):  # noqa: C419 - a list is quicker here
                items = self._fit(items)
            self._supervisor.give(items)
            if self._cancels.early:
                self._cancels.arrived(items)
        except Exception as error:
            # Some may have reached a child: their outcomes will be refused. The others would otherwise stay leased to us with
            # nobody to run them.
            logger.error("Tasks of queue %s could not be given to a child and go back", queue, exc_info=error)
            self._hand_back(items)

    def _fit(self, items: list[Held]) -> list[Held]:
        """Those that are to be run; the others get their verdicts."""
        now = self._clock.now()
        fit = []
        for held in items:
            taken, verdict = held.taken, None
            if taken.crashes >= MOST_CRASHES:
                verdict = archive_poison(held, now)
            elif is_marked(held):
                verdict = archive_cancelled(held, now)
            elif taken.expires_at:
                verdict = archive_expired(held, now)
            if verdict is None:
                fit.append(held)
            else:
                self._outcomes([(held, verdict)])
        return fit

    def _hand_back(self, items: list[Held]) -> None:
        self._outcomes([(held, Outcome(0, Verb.REQUEUE)) for held in items])
