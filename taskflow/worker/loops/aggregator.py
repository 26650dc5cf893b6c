"""Joins the tasks of ripe aggregation groups into one task, as `app.aggregate` declares."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ...broker.aio import AsyncBroker
from ...broker.commands.aggregate import Waiting, group_names, join, ripe
from ...broker.words import Joined
from ...errors import BuildFailed, DecodeError
from ...message.ids import new_id
from ...message.joined import joined
from ...message.task_message import TaskMessage
from ...pipe.frames import Aggregation
from ...telemetry.saying import counted
from ..service import TIMEOUT, Service

logger = logging.getLogger("taskflow.worker")


class Aggregator(Service):
    """The loop of one queue.

    Args:
        queue: its name.
        rule: what becomes of its groups.
        broker: where they are.
    """

    def __init__(self, queue: str, rule: Aggregation, broker: AsyncBroker) -> None:
        super().__init__()
        self.name = f"aggregator of queue {queue}"
        self._queue = queue
        self._rule = rule
        self._broker = broker
        self._template = TaskMessage.decode(rule.template)

    async def tick(self) -> float:
        """Join what is ripe in every group."""
        failed: BuildFailed | None = None
        for group in await self._broker.run(group_names(self._queue), TIMEOUT):
            try:
                await self._join_ripe(group)
            except BuildFailed as error:  # the others need not wait for it
                failed = failed or error
            else:
                self.lives()
        if failed is not None:
            raise failed
        return self.timings.aggregate

    async def _join_ripe(self, group: str) -> None:
        rule = self._rule
        command = ripe(self._queue, group, grace=rule.grace, max_delay=rule.max_delay, max_size=rule.max_size)
        while waiting := await self._broker.run(command, TIMEOUT):
            if not await self._join(group, waiting):
                # Tried again in the next round, not at once: the reason may last for a while.
                return

    async def _join(self, group: str, waiting: Sequence[Waiting]) -> bool:
        """Put one task in the place of these; False: some of them have changed meanwhile."""
        payloads = [_payload(one.message) for one in waiting]
        # A new id: one that follows from theirs would be taken when the same ids gather once more. A repetition after a lost
        # reply is the same command, with the same id.
        name = group.encode("utf-8", "surrogateescape")
        return await self._write(
            group, joined(self._template, self._queue, new_id(), name, payloads), waiting
        )

    async def _write(self, group: str, message: TaskMessage, waiting: Sequence[Waiting]) -> bool:
        if await self._broker.run(join(self._queue, group, message, waiting), TIMEOUT) is Joined.CHANGED:
            return False
        self.lives()
        logger.info(
            "%s of group %s in queue %s became task %s",
            counted(len(waiting), "task"),
            group,
            self._queue,
            message.id,
        )
        return True


def _payload(message: bytes) -> bytes:
    try:
        return TaskMessage.decode(message).payload or b"{}"
    except DecodeError:
        return b"{}"
