"""How a handle reads its task: where it is known to be, or wherever it may be."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..broker.command import TIMEOUT
from ..broker.commands.read import Snapshot, read_task
from ..connection.coroutines import acarry_out, carry_out, in_thread
from .result_facts import ResultFacts
from .verdict import PENDING, verdict

if TYPE_CHECKING:
    from ..broker.said import Said
    from ..client.client import Client
    from ..connection.steps import Request
    from .result_record import TaskRecord

R = TypeVar("R")


class ResultReads(ResultFacts[R]):
    """The part of a handle that looks at the task; `AsyncResult` sets what is declared here."""

    _places: Mapping[str, int] | None = None
    """While the queue is not known: those where it may be, with the number of partitions that each has, or 0."""
    _client: Client
    _partitions: int

    @property
    def _asked(self) -> str:
        """Who is asked for the task, for errors."""
        if self.queue or not self._places:
            return f"queue {self.queue!r} does not know"
        return f"none of the queues {', '.join(map(repr, self._places))} knows"

    def _is_lost(self) -> bool:
        return bool(self._partitions or self._places)

    def _read(self, timeout: float = TIMEOUT) -> Snapshot:
        broker = self._client.broker
        if not self._partitions and not self._places:
            return self._noted(broker.run(read_task(self.queue, self.id), timeout))
        return self._noted(carry_out(self._search(), lambda requests: broker.run_many(requests, timeout)))

    async def _aread(self, timeout: float = TIMEOUT) -> Snapshot:
        broker = self._client.async_broker
        if not self._partitions and not self._places:
            return self._noted(await broker.run(read_task(self.queue, self.id), timeout))
        return self._noted(
            await acarry_out(self._search(), lambda requests: broker.run_many(requests, timeout))
        )

    def _noted(self, snapshot: Snapshot) -> Snapshot:
        if snapshot.state is not None:
            self._coming = False
        return snapshot

    def record(self) -> TaskRecord:
        """All that the queue has of the task, in one look: what `info()` says, its arguments, and what it returned.

        Raises:
            ResultMissing: it does not know the task: it was not retained, was deleted, or never existed.
            ResultUnreadable: arguments or result are encrypted, with a key that this app does not have.
            ResultNotTrusted: the app has keys, and nobody who has one of them wrote them.

        Example:
            >>> app.result("order-17").record().kwargs                  # doctest: +SKIP
            {'order': 17}
        """
        # Only here: most handles are never asked.
        from .result_record import record_of

        return record_of(self, self._read())

    async def arecord(self) -> TaskRecord:
        """As `record`, from a coroutine."""
        from .result_record import record_of

        snapshot = await self._aread()
        if self._client.crypto.offload is None:
            return record_of(self, snapshot)
        return await in_thread(record_of, self, snapshot)

    def _said(self) -> Said:
        # Only here: most handles are never asked, and what asks takes its time to import.
        from ..broker.said import read_said

        broker = self._client.broker
        steps = read_said(self.queue, self.id, self._client.crypto)
        return carry_out(steps, lambda command: broker.run(command, TIMEOUT))

    async def _asaid(self) -> Said:
        from ..broker.said import read_said

        broker = self._client.async_broker
        steps = read_said(self.queue, self.id, self._client.crypto)
        return await acarry_out(steps, lambda command: broker.run(command, TIMEOUT))

    def _search(self) -> Generator[list[Request], list[Any], Snapshot]:
        # Only here: few handles have to look for their task, and what asks for it takes its time to import.
        from .search import search

        queue, snapshot = yield from search(self._places or {self.queue: self._partitions}, self.id)
        if queue is not None:
            self.queue, self._partitions, self._places = queue, 0, None
        return snapshot

    def _has_ended(self, snapshot: Snapshot) -> bool:
        """Whether there is a verdict; an error is raised, a value is kept."""
        if self._value is PENDING:
            self._value = verdict(self, snapshot)
        return self._value is not PENDING
