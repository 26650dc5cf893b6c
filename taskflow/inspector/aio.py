"""The inspector, as coroutines. `inspector.py` runs the same ones for threads."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ..broker.aio import AsyncBroker
from ..broker.command import TIMEOUT, Plain
from ..broker.commands.enqueue import publish_queues
from ..broker.commands.queues import pause, resume
from ..broker.keys import CANCEL_CHANNEL
from ..broker.said import read_said
from ..broker.words import Cancelled
from ..connection.coroutines import acarry_out
from ..connection.steps import Request
from ..errors import IllegalMove, QueueNotFound, TaskNotFound
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..partitions import split_queue
from ..states import CancelOutcome, State
from . import cancelling, cluster, doctor, facts, moving, partitions, queues, removal, search, servers, tasks
from .both import AnyBroker, LoopBroker
from .cancelling import CancelCounts, Terminate, Which, grace_of
from .chosen import AsyncChosen
from .values import (
    ClusterQueue,
    DayCounts,
    GroupInfo,
    QueueInfo,
    ServerView,
    Stats,
    TaskInfo,
    TaskPage,
)


class AsyncInspector(AsyncChosen):
    """As `Inspector`, with await: from coroutines of any event loop.

    Args:
        broker: where to look; or a function that gives the broker of the running event loop.
        crypto: as for `Inspector`.

    Example:
        >>> async def waiting() -> int:
        ...     return (await app.ainspector.queue("images")).pending        # doctest: +SKIP
    """

    def __init__(
        self, broker: AsyncBroker | Callable[[], AsyncBroker], crypto: MessageCrypto | None = None
    ) -> None:
        self._given = broker
        self._crypto = crypto

    async def _open(self) -> AnyBroker:
        broker = self._given() if callable(self._given) else self._given
        return LoopBroker(broker, await broker.driver.open())

    # --- queues ------------------------------------------------------------------------------------

    async def queue_names(self) -> list[str]:
        """As `Inspector.queue_names`."""
        names = await queues.all_names(await self._open())
        return sorted({split_queue(name)[0] for name in names})

    async def queues(self) -> list[QueueInfo]:
        """As `Inspector.queues`."""
        return await queues.all_queues(await self._open())

    async def queue(self, name: str) -> QueueInfo:
        """As `Inspector.queue`."""
        return await queues.one_queue(await self._open(), name)

    async def history(self, name: str, days: int = 10) -> list[DayCounts]:
        """As `Inspector.history`."""
        broker = await self._open()
        by_part = [await queues.history(broker, part, days) for part in await _parts(broker, name)]
        return [
            DayCounts(day[0].day, sum(one.processed for one in day), sum(one.failed for one in day))
            for day in zip(*by_part, strict=True)
        ]

    async def groups(self, name: str) -> list[GroupInfo]:
        """As `Inspector.groups`."""
        broker = await self._open()
        sizes: Counter[str] = Counter()
        for part in await _parts(broker, name):
            sizes.update({group.name: group.size for group in await queues.groups(broker, part)})
        return [GroupInfo(group, size) for group, size in sorted(sizes.items())]

    async def pause(self, name: str, *, must_exist: bool = True) -> bool:
        """As `Inspector.pause`."""
        broker = await self._open()
        order = partial(pause, whole=not split_queue(name)[1])
        try:
            return await _on_all(broker, name, order)
        except QueueNotFound:
            if must_exist:
                raise
        await broker.run(publish_queues([name]))
        return await _on_all(broker, name, order)

    async def resume(self, name: str) -> bool:
        """As `Inspector.resume`."""
        return await _on_all(await self._open(), name, resume)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """As `Inspector.remove`."""
        broker = await self._open()
        parts = await _parts(broker, name)
        if not force:
            for part in parts:
                await removal.refuse_tasks(broker, part)
        for part in reversed(parts):
            await removal.remove(broker, part, force=force)

    async def purge(self, name: str) -> int:
        """As `Inspector.purge`."""
        broker = await self._open()
        return sum([await moving.purge(broker, part) for part in await _parts(broker, name)])

    # --- tasks -------------------------------------------------------------------------------------

    async def tasks(
        self,
        queue: str,
        state: State,
        *,
        page: int = 1,
        size: int = 30,
        group: str | None = None,
        partition: str | None = None,
    ) -> TaskPage:
        """As `Inspector.tasks`."""
        broker = await self._open()
        parts = await _parts(broker, queue) if partition is None else [partitions.part_of(queue, partition)]
        found = await tasks.page_of_tasks(broker, parts, state, page, size, group)
        return replace(found, tasks=tuple(tasks.judged(one, self._crypto) for one in found.tasks))

    async def task(self, queue: str, task_id: str) -> TaskInfo:
        """As `Inspector.task`."""
        broker = await self._open()
        part = await partitions.part_with(broker, queue, task_id)
        found = tasks.judged(await tasks.one_task(broker, part, task_id), self._crypto)
        steps = read_said(part, task_id, self._crypto or NO_KEYS)
        said = await acarry_out(steps, lambda command: broker.run(command, TIMEOUT))
        return replace(found, said=said)

    async def find(self, task_id: str) -> str:
        """As `Inspector.find`."""
        return await search.queue_with(await self._open(), task_id)

    async def queues_with(self, task_id: str) -> list[str]:
        """As `Inspector.queues_with`."""
        return await search.queues_with(await self._open(), task_id)

    async def run(self, queue: str, task_id: str) -> None:
        """As `Inspector.run`."""
        await _move_one(await self._open(), moving.RUN, queue, task_id)

    async def archive(self, queue: str, task_id: str) -> None:
        """As `Inspector.archive`."""
        await _move_one(await self._open(), moving.ARCHIVE, queue, task_id)

    async def delete(self, queue: str, task_id: str) -> None:
        """As `Inspector.delete`."""
        await _move_one(await self._open(), moving.DELETE, queue, task_id)

    async def run_all(self, queue: str, state: State, group: str | None = None) -> int:
        """As `Inspector.run_all`."""
        return await _move_all(await self._open(), moving.RUN, queue, state, group)

    async def archive_all(self, queue: str, state: State, group: str | None = None) -> int:
        """As `Inspector.archive_all`."""
        return await _move_all(await self._open(), moving.ARCHIVE, queue, state, group)

    async def delete_all(self, queue: str, state: State, group: str | None = None) -> int:
        """As `Inspector.delete_all`."""
        return await _move_all(await self._open(), moving.DELETE, queue, state, group)

    async def require_active(self, queue: str, task_id: str) -> None:
        """As `Inspector.require_active`."""
        found = await self.task(queue, task_id)
        if found.state is not State.ACTIVE:
            state = found.state.value if found.state else "in no state"
            raise IllegalMove(
                f"task {task_id!r} of queue {queue!r} is {state}, so there is nothing to cancel; "
                "`taskflow task archive` or `delete` keeps it from running"
            )

    async def cancel(
        self, task_id: str, queue: str | None = None, *, terminate: Terminate = False
    ) -> CancelOutcome:
        """As `Inspector.cancel`."""
        broker = await self._open()
        grace = grace_of(terminate)
        if queue is not None:
            part = await partitions.part_with(broker, queue, task_id)
            reply = await cancelling.cancel_one(broker, part, task_id, grace)
            if reply is Cancelled.NO_SUCH_TASK:
                await queues.require(broker, part)
                raise TaskNotFound(task_id, queue)
            return cancelling.OUTCOMES[reply]
        try:
            part = await search.queue_with(broker, task_id)
        except TaskNotFound:
            # Go's clients may leave a queue out of the index.
            await broker.run(Plain(("PUBLISH", CANCEL_CHANNEL, task_id), int))
            return CancelOutcome.ENDED
        return cancelling.OUTCOMES[await cancelling.cancel_one(broker, part, task_id, grace)]

    async def cancel_all(
        self,
        *ids: str,
        queues: Sequence[str] | None = None,
        named: bool = True,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        state: State | str | Iterable[State | str] | None = None,
        terminate: Terminate = False,
        dry: bool = False,
    ) -> CancelCounts:
        """As `Inspector.cancel_all`."""
        which = Which.of(name, headers, state)
        broker = None if queues is not None and not queues else await self._open()
        parts: list[str] = []
        if broker is not None:
            listed = await self.queue_names() if queues is None else queues
            parts = [part for queue in listed for part in await partitions.parts_of(broker, queue)]
        return await cancelling.cancel_all(
            broker, parts, ids, which, terminate, named=named and queues is not None, dry=dry
        )

    # --- workers and nodes -------------------------------------------------------------------------

    async def servers(self) -> list[ServerView]:
        """As `Inspector.servers`."""
        return await servers.all_servers(await self._open())

    async def cluster_queues(self, names: Iterable[str] | None = None) -> list[ClusterQueue]:
        """As `Inspector.cluster_queues`."""
        broker = await self._open()
        parts = None if names is None else await partitions.listed_parts(broker, names)
        return await cluster.cluster_queues(broker, parts)

    async def stats(self) -> Stats:
        """As `Inspector.stats`."""
        return await facts.read_stats(await self._open())

    async def examine(self, names: Sequence[str] = (), *, fix: bool = False) -> doctor.Diagnosis:
        """As `Inspector.examine`."""
        broker = await self._open()
        return await doctor.examine(broker, await partitions.listed_parts(broker, names), fix=fix)


async def _parts(broker: AnyBroker, queue: str) -> list[str]:
    """The partitions of a queue, or itself; raises QueueNotFound."""
    queues.check_placed(broker, queue)
    parts = await partitions.parts_of(broker, queue)
    if len(parts) == 1:
        await queues.require(broker, parts[0])
    return parts


async def _on_all(broker: AnyBroker, queue: str, order: Callable[[str], Request]) -> bool:
    """Carry out an order on all partitions, also while one of them cannot be reached; whether it changed anything."""
    replies = await broker.run_many([order(part) for part in await _parts(broker, queue)])
    partitions.first_error(replies)
    return any(replies)


async def _move_one(broker: AnyBroker, order: moving.Order, queue: str, task_id: str) -> None:
    try:
        parts = [await partitions.part_with(broker, queue, task_id)]
    except TaskNotFound:
        parts = await partitions.parts_of(broker, queue)  # there may be an id without a task
    for part in parts[:-1]:
        with contextlib.suppress(TaskNotFound):
            await moving.move_one(broker, order, part, task_id)
            return
    await moving.move_one(broker, order, parts[-1], task_id)


async def _move_all(
    broker: AnyBroker, order: moving.Order, queue: str, state: State, group: str | None
) -> int:
    parts = await _parts(broker, queue)
    return sum([await moving.move_all(broker, order, part, state, group) for part in parts])
