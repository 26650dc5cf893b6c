"""Joins the tasks of ripe aggregation groups into one task, as `app.aggregate` declares."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from ...broker.aio import AsyncBroker
from ...broker.commands.aggregate import Waiting, group_names, join, ripe
from ...broker.words import Joined
from ...errors import DecodeError
from ...message.ids import new_id
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
        for group in await self._broker.run(group_names(self._queue), TIMEOUT):
            await self._join(group)
            self.progressed()
        return self.timings.aggregate

    async def _join(self, group: str) -> None:
        rule = self._rule
        command = ripe(self._queue, group, grace=rule.grace, max_delay=rule.max_delay, max_size=rule.max_size)
        while waiting := await self._broker.run(command, TIMEOUT):
            message = joined(self._template, self._queue, group, waiting)
            if await self._broker.run(join(self._queue, group, message, waiting), TIMEOUT) is Joined.CHANGED:
                # Tried again in the next round, not at once: the reason may last for a while.
                return
            logger.info(
                "%s of group %s in queue %s became task %s",
                counted(len(waiting), "task"),
                group,
                self._queue,
                message.id,
            )


def joined(template: TaskMessage, queue: str, group: str, waiting: Sequence[Waiting]) -> TaskMessage:
    """The task that takes the place of others.

    Its id is new: one that follows from theirs would be taken when the same ids gather once more. A repetition after a lost
    reply is the same command, with the same id.
    """
    arguments = {"group": group, "items": [item(one) for one in waiting]}
    return replace(
        template,
        id=new_id(),
        queue=queue,
        payload=msgspec.json.encode(arguments),
    )


def item(waiting: Waiting) -> object:
    """One joined task's arguments: JSON as it is, anything else as text."""
    try:
        payload = TaskMessage.decode(waiting.message).payload or b"{}"
    except DecodeError:
        return {}
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload.decode("utf-8", "replace")
    return msgspec.Raw(payload)
