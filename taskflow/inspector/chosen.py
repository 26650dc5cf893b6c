"""The parts of the inspectors that find tasks by a filter, and order something for all that fit: for coroutines, and threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

from ..connection.coroutines import complete
from ..message.message_crypto import MessageCrypto
from ..states import State
from . import matching, moving
from .both import AnyBroker
from .filters import TaskFilter
from .tasks import judged
from .values import TaskInfo

ALL = TaskFilter()


class AsyncChosen:
    """The part of `AsyncInspector`."""

    _crypto: MessageCrypto | None

    async def _open(self) -> AnyBroker:
        raise NotImplementedError

    async def matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> AsyncGenerator[TaskInfo, None]:
        """As `Inspector.matching`: `async for task in inspector.matching(...)`."""
        async for task in matching.matching(await self._open(), state, where, queues):
            yield judged(task, self._crypto)

    async def count_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> dict[str, int]:
        """As `Inspector.count_matching`."""
        return await matching.count(await self._open(), state, where, queues)

    async def run_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """As `Inspector.run_matching`."""
        return await matching.order(await self._open(), moving.RUN, state, where, queues)

    async def archive_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """As `Inspector.archive_matching`."""
        return await matching.order(await self._open(), moving.ARCHIVE, state, where, queues)

    async def delete_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """As `Inspector.delete_matching`."""
        return await matching.order(await self._open(), moving.DELETE, state, where, queues)


async def _next(found: AsyncIterator[TaskInfo]) -> TaskInfo | None:
    return await anext(found, None)


class Chosen:
    """The part of `Inspector`."""

    _same: AsyncChosen

    def matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> Iterator[TaskInfo]:
        """The tasks in a state that fit a filter, queue by queue, in the order in which they come up. They are read page by page
        while one iterates, so there may be any number of them.

        Args:
            state: which state.
            where: which of its tasks; without it all.
            queues: the names of queues; None: all that are listed.

        Raises:
            QueueNotFound: there is nothing of one that was named.
            InvalidOption: there is no such state, or nothing says how old its tasks are and the filter asks.

        Example:
            >>> declined = TaskFilter(error="PaymentError", newer_than=3600)
            >>> [task.id for task in app.inspector.matching(State.ARCHIVED, declined)]     # doctest: +SKIP
        """
        found = self._same.matching(state, where, queues=queues)
        try:
            while (task := complete(_next(found))) is not None:
                yield task
        finally:
            complete(found.aclose())

    def count_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> dict[str, int]:
        """How many tasks fit, by queue, without those that have none; the arguments are those of `matching`."""
        return complete(self._same.count_matching(state, where, queues=queues))

    def run_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """Let the tasks run now that fit; their number. The arguments are those of `matching`.

        It goes in steps of a hundred tasks, and ends with those that were there when it began. One that has moved on since it
        was looked at is left alone.

        Raises:
            IllegalMove: tasks of this state cannot be run.
        """
        return complete(self._same.run_matching(state, where, queues=queues))

    def archive_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """Archive the tasks that fit, as `run_matching` runs them."""
        return complete(self._same.archive_matching(state, where, queues=queues))

    def delete_matching(
        self, state: State, where: TaskFilter = ALL, *, queues: Sequence[str] | None = None
    ) -> int:
        """Delete the tasks that fit, as `run_matching` runs them."""
        return complete(self._same.delete_matching(state, where, queues=queues))
