"""An app and its outbox: calls that are kept with the program's own data, and delivered afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..message.ready import ReadyTask
from ..telemetry.events import Enqueued, emit
from .app_broker import AppBroker
from .outbox import Keeping, Outbox

if TYPE_CHECKING:
    from ..client.handing_over import Delivery

DELIVERY_SECONDS = 4.0
"""Seconds that a delivery may take over reconnections and fail-overs."""


class AppOutbox(AppBroker):
    """The part of an app that keeps calls and delivers them; `TaskFlow` sets what is declared here."""

    def use_outbox(self, outbox: Outbox | None, *, always: bool | Callable[[], bool] = True) -> None:
        """Keep calls in an outbox from now on, instead of sending them: `.delay()` and its like give them to it, finished, and
        whoever relays them gives them to `deliver`. See docs/outbox.md.

        Args:
            outbox: has `put(tasks)` and `aput(tasks)`, which keep a list of `ReadyTask`; None: calls are sent again.
            always: whether calls go there that do not say by the option `outbox`. False: only those with `outbox=True`. A
                function is asked for each call.

        Raises:
            ConfigurationError: it has no such methods.

        Example:
            >>> class Rows:                                             # doctest: +SKIP
            ...     def put(self, tasks):
            ...         session.add_all(Row(body=task.pack()) for task in tasks)
            >>> app.use_outbox(Rows())                                  # doctest: +SKIP
        """
        if outbox is None:
            self._keeping = None
            return
        if not callable(getattr(outbox, "put", None)):
            raise ConfigurationError(
                f"an outbox has put(tasks), and aput(tasks) for coroutines; {type(outbox).__name__} has no put"
            )
        self._keeping = Keeping(outbox, always, lambda: self.client, self._crypto)

    def deliver(
        self, tasks: Sequence[ReadyTask], *, read_at: float | None = None, timeout: float = DELIVERY_SECONDS
    ) -> list[Delivery]:
        """Bring tasks from an outbox to their queues: each once, however often and by however many it is brought.

        The server remembers for 7 days what was delivered. So a task may be removed from its outbox after its delivery, in
        whatever way: when the process dies in between, the next delivery finds that it is there. Tasks of one queue come in their
        order.
        A node's writes are waited for until a replica has them, where it has one.

        Args:
            tasks: as they lie in the outbox; a few hundred at a time.
            read_at: when they were read there, by `time.monotonic()`; now, if that was just before. What was read over half a
                minute ago is not delivered: somebody else may have done so since.
            timeout: seconds for everything together.

        Returns:
            For each task what became of it: `is_settled` says that it can go from the outbox, `error` why it is not in its queue.
            Nothing is raised for a queue that cannot be reached: the others are delivered.

        Example:
            >>> for row, delivery in zip(rows, app.deliver([row.task for row in rows])):    # doctest: +SKIP
            ...     if delivery.is_settled:
            ...         session.delete(row)
        """
        found = self.client.deliver(tasks, time.monotonic() if read_at is None else read_at, timeout)
        self._tell_delivered(tasks, found)
        return found

    async def adeliver(
        self, tasks: Sequence[ReadyTask], *, read_at: float | None = None, timeout: float = DELIVERY_SECONDS
    ) -> list[Delivery]:
        """As `deliver`, from a coroutine."""
        found = await self.client.adeliver(tasks, time.monotonic() if read_at is None else read_at, timeout)
        self._tell_delivered(tasks, found)
        return found

    def delivered(self, tasks: Sequence[ReadyTask], *, timeout: float = DELIVERY_SECONDS) -> None:
        """These tasks are settled, and gone from their outbox for good: what the server remembers of each goes in 10 minutes
        instead of in 7 days. It may be left out, and where it does not succeed nothing is wrong.

        Args:
            tasks: whose removal is committed.
            timeout: seconds.
        """
        self.client.let_end(tasks, timeout)

    async def adelivered(self, tasks: Sequence[ReadyTask], *, timeout: float = DELIVERY_SECONDS) -> None:
        """As `delivered`, from a coroutine."""
        await self.client.alet_end(tasks, timeout)

    def _tell_delivered(self, tasks: Sequence[ReadyTask], found: Sequence[Delivery]) -> None:
        if Enqueued.heard:
            for task, delivery in zip(tasks, found, strict=True):
                if delivery.is_new:
                    emit(Enqueued(task.name, task.id, task.queue, 0), self._audience)
