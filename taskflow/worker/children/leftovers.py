"""Tasks that a child runs no more although nobody has said how they ended: who has them from there on.

They go back to their queue; towards the quarantine, when they were running as their process died; or to a child for its verdict,
when they were ended from outside, by a hard time limit: it knows the retry policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...message.outcome import AttemptRecord, Outcome
from ...states import Verb
from ...telemetry.events import ChildStopped, emit
from ..holding.cancels import archive_cancelled
from ..holding.held_tasks import Held
from .child import Child
from .poison import MOST_CRASHES, PROCESS_DIED
from .process import signal_name
from .quarantine import Quarantine


class Leftovers:
    """Decides about them.

    Args:
        children: those that run now; the group changes the list.
        quarantine: is told of tasks that were running when a process died.
        on_outcomes: takes outcomes with the tasks they belong to.
    """

    def __init__(
        self,
        children: Sequence[Child],
        quarantine: Quarantine,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
    ) -> None:
        self._children = children
        self._quarantine = quarantine
        self._on_outcomes = on_outcomes
        self._unjudged: list[Held] = []
        """Wait for a child that says what becomes of them."""

    def hand_back(self, items: list[Held], *, started: bool = False) -> None:
        """Give tasks back; nothing is counted. `started`: they were running, so until when they may start matters no more."""
        if items:
            self._on_outcomes([(held, Outcome(0, Verb.REQUEUE, delay=float(started))) for held in items])

    def recall(self, child: Child) -> None:
        """Take back from a child what has not started."""
        recalled = child.recall()
        self.hand_back([held for held in recalled if not held.failure])
        self._judge(recalled)

    def bury(self, child: Child, code: int, *, stopping: bool) -> None:
        """Decide about the jobs of a child that has ended.

        Args:
            child: which.
            code: its exit code.
            stopping: whether the worker stops, so that its end was wanted and nothing is judged any more.
        """
        ran = dict(child.running())
        left = child.left()
        running = sum(started for _, started in left)
        wanted = stopping or (child.retiring and not left)
        emit(ChildStopped(child.process.pid, signal_name(code), wanted, running, len(left) - running))
        self._archive_cancelled([held for held, _ in left if held.cancelled])
        left = [(held, started) for held, started in left if not held.cancelled]
        if stopping:
            for started in (False, True):
                self.hand_back(
                    [held for held, had_started in left if had_started == started], started=started
                )
            return
        crashed = [held for held, started in left if started and not held.failure]
        self.hand_back([held for held, started in left if not started and not held.failure])
        if child.retiring:
            self.hand_back(crashed, started=True)
        elif crashed:
            reason = f"its process died ({signal_name(code)}) while it ran"
            self._on_outcomes([(held, _crashed(reason, ran.get(held, 0.0))) for held in crashed])
            counts = [held.taken.crashes + 1 for held in crashed]
            self._quarantine.expect([count for count in counts if count < MOST_CRASHES])
        self._judge([held for held, _ in left])

    def _archive_cancelled(self, items: Sequence[Held]) -> None:
        """However their process ended: nobody wants them to be run again, and it is no crash of theirs."""
        now = time.time()
        if items:
            self._on_outcomes([(held, archive_cancelled(held, now)) for held in items])

    def offer(self, child: Child) -> None:
        """A child has started: give it the tasks that have waited for a verdict."""
        waiting, self._unjudged = self._unjudged, []
        if waiting:
            child.send_jobs(waiting)

    def drain(self) -> None:
        """Hand back what waits for a verdict: there will be no child for it."""
        waiting, self._unjudged = self._unjudged, []
        self.hand_back(waiting, started=True)

    def _judge(self, items: Sequence[Held]) -> None:
        """Ask for the verdicts on those that were ended from outside: a child that answers, if there is any, or the next one."""
        for held in items:
            if not held.failure:
                continue
            able = (child for child in self._children if child.takes_work)
            child = min(able, key=lambda child: child.stalled, default=None)
            if child is None:
                self._unjudged.append(held)
            else:
                child.send_jobs([held])


def _crashed(reason: str, seconds: float) -> Outcome:
    """It cost its process: it runs again, which costs no retry, and what happened is kept with it."""
    attempt = AttemptRecord(time.time() - seconds, seconds, PROCESS_DIED, text=reason)
    return Outcome(0, Verb.REQUEUE_CRASHED, attempt=attempt)
