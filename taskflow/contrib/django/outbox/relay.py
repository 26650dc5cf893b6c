"""The relay of one database: reads its rows, delivers them, deletes what is delivered.

Several may run at once. Where the database has `SKIP LOCKED` each has rows of its own; elsewhere two may deliver the same, which
the server notices. The rows of one queue come in the order of their calls, as far as their transactions were committed in it, and
one relay reads them.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from taskflow import Delivery, ReadyTask, TaskFlow
from taskflow.errors import DeliveredTooLate, MessageError, TaskFlowError

from .row import OutboxRow
from .setting import OutboxSettings
from .waking import Waking

logger = logging.getLogger("taskflow.outbox")

TIMEOUT = 3.0
"""Seconds that a delivery may take: so long rows are locked while a node is away."""

PROBE_TIMEOUT = 1.0
"""The same where it is tried whether a queue is there again: others wait for it."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds for which a queue is left alone after a delivery that failed, doubled with each that follows."""

FIRST_RETRY, LONGEST_RETRY = 5.0, 600.0
"""The same for a row that alone cannot be delivered while others of its queue can."""

SELDOM = 1.0
"""Seconds between two looks for such rows."""

LONGEST_OUTAGE = 5.0
"""Seconds between two tries while the database is away, at most."""

SLOW_POLL = 5.0
"""Seconds between two looks where commits are told of."""

BROKEN = (DatabaseError, InterfaceError)
"""What Django raises when the database is away, or does not have the table."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it was read."""

    id: int
    queue: str
    name: str
    task_id: str
    attempts: int
    task: ReadyTask


@dataclass(slots=True)
class Away:
    """A queue that could not be delivered to: until when it is left alone (monotonic), and for how long that was."""

    until: float
    pause: float


class Relay:
    """Delivers the rows of one database.

    Args:
        app: the app, which delivers.
        using: the database.
        settings: of the outbox.
    """

    def __init__(self, app: TaskFlow, using: str, settings: OutboxSettings) -> None:
        self.using = using
        self.delivered = 0
        self._app = app
        self._settings = settings
        self._away: dict[str, Away] = {}
        self._waking = Waking(using, settings.notify)
        self._outage = 0.0
        self._alone_at = 0.0
        self._gone: list[ReadyTask] = []

    # --- the loop -------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set. Nothing that goes wrong ends it."""
        try:
            while not stop.is_set():
                try:
                    full = self.round()
                    self._found_database()
                    if not full:
                        self._wait(stop)
                except BROKEN as error:
                    self._lost_database(error, stop)
                except Exception:
                    logger.exception("The relay of database %s: a round failed; it goes on", self.using)
                    stop.wait(LONGEST_OUTAGE)
        finally:
            connections[self.using].close()

    def drain(self) -> int:
        """Deliver what can be delivered now; how many rows are left that could not."""
        while self.round():
            pass
        return int(self._rows().filter(failed_at=None).count())

    def round(self) -> bool:
        """Deliver once; True: there may be more at once.

        Raises:
            DatabaseError: the database is away, or does not have the table.
        """
        self._gone.clear()  # of a round that failed: nobody knows whether their rows are gone
        probed = self._probe()
        alone = self._deliver_alone()
        size = self._settings.batch
        with self._reading() as lock:
            read_at = time.monotonic()
            found, seen = self._read(self._next().exclude(queue__in=list(self._away)), size, lock)
            settled = self._settle(found, self._deliver(found, read_at, TIMEOUT))
            for queue, error in _unreachable(found, settled):
                self._lost(queue, error)
        self._let_markers_end()
        return seen == size or probed or alone

    # --- rows -----------------------------------------------------------------------------------------------

    def _rows(self) -> Any:
        return OutboxRow.objects.using(self.using)

    def _next(self) -> Any:
        """The rows that are delivered together with others, in their order."""
        return self._rows().filter(failed_at=None, retry_at=None).order_by("id")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[bool]:
        """Whether rows are locked in the block: by a transaction, which ends with it."""
        if connections[self.using].features.has_select_for_update_skip_locked:
            with transaction.atomic(using=self.using):
                yield True
        else:
            # A transaction would keep all who write out, and locks no row.
            yield False

    def _read(self, rows: Any, most: int, lock: bool) -> tuple[list[Found], int]:
        """Rows, and how many they were before those were given up that nobody can read."""
        if lock:
            rows = rows.select_for_update(skip_locked=True)
        fields = ("id", "queue", "name", "task_id", "attempts", "ready", "created_at", "now")
        values = list(rows.annotate(now=Now()).values_list(*fields)[:most])
        found: list[Found] = []
        for row_id, queue, name, task_id, attempts, ready, created_at, now in values:
            try:
                task = ReadyTask.unpack(ready)
            except MessageError as error:
                self._give_up(row_id, name, task_id, error)
                continue
            found.append(Found(row_id, queue, name, task_id, attempts, task.aged(_age(created_at, now))))
        return found, len(values)

    def _give_up(self, row_id: int, name: str, task_id: str, error: TaskFlowError) -> None:
        self._rows().filter(id=row_id).update(failed_at=Now(), error=str(error))
        logger.error(
            "The call of %s (id %s) in the outbox is given up, and kept for you to look at: %s",
            name,
            task_id,
            error,
        )

    # --- deliveries -----------------------------------------------------------------------------------------

    def _deliver(self, found: Sequence[Found], read_at: float, timeout: float) -> list[Delivery]:
        if not found:
            return []
        return self._app.deliver([one.task for one in found], read_at=read_at, timeout=timeout)

    def _settle(self, found: Sequence[Found], deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Delete what is settled."""
        done = [one for one, delivery in zip(found, deliveries, strict=True) if delivery.is_settled]
        if done:
            self._rows().filter(id__in=[one.id for one in done]).delete()
            self.delivered += len(done)
            self._gone += [one.task for one in done]
        for one, delivery in zip(found, deliveries, strict=True):
            if delivery.is_settled and delivery.error is not None:
                logger.info(
                    "The call of %s (id %s) in the outbox is dropped: %s",
                    one.name,
                    one.task_id,
                    delivery.error,
                )
        return list(deliveries)

    def _let_markers_end(self) -> None:
        """After the commit. Where it does not succeed they live for their days, and do no harm."""
        gone, self._gone = self._gone, []
        if gone:
            with contextlib.suppress(TaskFlowError):
                self._app.delivered(gone, timeout=TIMEOUT)

    # --- queues that cannot be reached ------------------------------------------------------------------------

    def _probe(self) -> bool:
        """Try whether queues are there again: by one row of each, and where that fails by the next.

        Where the second comes through, and the first still does not, it was the first row's own fault: that is tried alone from
        then on, ever more seldom.
        """
        now = time.monotonic()
        due = [queue for queue, away in self._away.items() if away.until <= now]
        back: set[str] = set()
        if due:
            with self._reading() as lock:
                read_at = time.monotonic()
                first, second = self._heads(due, lock)
                answers = self._settle(first, self._deliver(first, read_at, PROBE_TIMEOUT))
                failed = dict(_unreachable(first, answers))
                others = [one for one in second if one.queue in failed]
                answers = self._settle(others, self._deliver(others, read_at, PROBE_TIMEOUT))
                through = {one.queue for one in others} - {
                    queue for queue, _ in _unreachable(others, answers)
                }
                # The node may have come back between the two.
                suspects = [one for one in first if one.queue in through]
                answers = self._settle(suspects, self._deliver(suspects, read_at, PROBE_TIMEOUT))
                still = dict(_unreachable(suspects, answers))
                for one in suspects:
                    if one.queue in still:
                        self._retry_later(one, still[one.queue])
                back = (set(due) - set(failed)) | through
                for queue in set(failed) - through:
                    self._lost(queue, failed[queue])
        for queue in back:
            del self._away[queue]
            logger.info("The relay of database %s delivers to queue %s again", self.using, queue)
        self._let_markers_end()
        return bool(back)

    def _heads(self, queues: Sequence[str], lock: bool) -> tuple[list[Found], list[Found]]:
        """The first and the second row of each queue, where there are."""
        first: list[Found] = []
        second: list[Found] = []
        for queue in queues:
            found, _ = self._read(self._next().filter(queue=queue), 2, lock)
            first += found[:1]
            second += found[1:]
        return first, second

    def _lost(self, queue: str, error: TaskFlowError) -> None:
        known = self._away.get(queue)
        pause = min(known.pause * 2, LONGEST_PAUSE) if known else FIRST_PAUSE
        self._away[queue] = Away(time.monotonic() + pause, pause)
        if known is None:
            logger.warning(
                "The relay of database %s cannot deliver to queue %s; its rows wait, the others go on: %s",
                self.using,
                queue,
                error,
            )

    # --- rows that cannot be delivered ------------------------------------------------------------------------

    def _deliver_alone(self) -> bool:
        """Deliver one row that kept others up; True: it is through."""
        now = time.monotonic()
        if now < self._alone_at:
            return False
        self._alone_at = now + SELDOM
        due = self._rows().filter(failed_at=None, retry_at__lte=Now()).exclude(queue__in=list(self._away))
        with self._reading() as lock:
            read_at = time.monotonic()
            found, _ = self._read(due.order_by("retry_at"), 1, lock)
            if not found:
                return False
            deliveries = self._settle(found, self._deliver(found, read_at, TIMEOUT))
            for one, delivery in zip(found, deliveries, strict=True):
                if not delivery.is_settled and delivery.error is not None:
                    self._retry_later(one, delivery.error)
        self._let_markers_end()
        self._alone_at = now
        return any(one.is_settled for one in deliveries)

    def _retry_later(self, one: Found, error: TaskFlowError) -> None:
        seconds = min(FIRST_RETRY * 2 ** min(one.attempts, 20), LONGEST_RETRY)
        self._rows().filter(id=one.id).update(
            attempts=F("attempts") + 1, retry_at=Now() + timedelta(seconds=seconds), error=str(error)
        )
        logger.warning(
            "The call of %s (id %s) in the outbox cannot be delivered while others can; next try in %.0f s: %s",
            one.name,
            one.task_id,
            seconds,
            error,
        )

    # --- waiting ----------------------------------------------------------------------------------------------

    def _wait(self, stop: threading.Event) -> None:
        seconds = self._settings.poll_seconds
        if self._waking.listens:
            seconds = max(seconds, SLOW_POLL)
        now = time.monotonic()
        for away in self._away.values():
            seconds = min(seconds, max(away.until - now, 0.01))
        self._waking.wait(seconds, stop)

    def _lost_database(self, error: Exception, stop: threading.Event) -> None:
        if not self._outage:
            logger.warning("The relay of database %s waits: %s: %s", self.using, type(error).__name__, error)
        self._outage = min(max(self._outage * 2, 0.25), LONGEST_OUTAGE)
        with contextlib.suppress(*BROKEN):
            connections[self.using].close()
        stop.wait(self._outage)

    def _found_database(self) -> None:
        if self._outage:
            self._outage = 0.0
            logger.info("The relay of database %s goes on", self.using)


def _unreachable(found: Sequence[Found], deliveries: Sequence[Delivery]) -> list[tuple[str, TaskFlowError]]:
    """The queues that could not be delivered to, each once, with the reason. That it was read too long ago is none."""
    errors = {
        one.queue: delivery.error
        for one, delivery in zip(found, deliveries, strict=True)
        if not delivery.is_settled
        and delivery.error is not None
        and not isinstance(delivery.error, DeliveredTooLate)
    }
    return list(errors.items())


def _age(created_at: datetime, now: datetime) -> float:
    """Seconds that a row has lain there, both by the database's clock."""
    return max((now - created_at).total_seconds(), 0.0)
