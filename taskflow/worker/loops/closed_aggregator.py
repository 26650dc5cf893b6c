"""The aggregation of an app with keys: a child opens the tasks of a group and closes the one in their place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ...broker.aio import AsyncBroker
from ...broker.commands.aggregate import MOST_JOINED, Waiting, refuse
from ...broker.words import Refused
from ...clock import ServerClock
from ...errors import BuildFailed, DecodeError
from ...message.ids import new_id, printable
from ...message.task_message import TaskMessage
from ...pipe import frames
from ...states import Verb
from ...telemetry.events import PutBack, Unread, emit
from ..holding.verdicts import over_limit
from ..service import TIMEOUT
from .aggregator import Aggregator

Ask = Callable[[frames.Build], Awaitable[frames.Built | None]]

_REFUSALS = frozenset({Verb.ARCHIVE.value, Verb.ARCHIVE_RAW.value, Verb.PUT_BACK.value})


class ClosedAggregator(Aggregator):
    """The loop of one queue.

    What comes of a member that is not to be joined is the child's verdict on it, as if it had been taken to be run; then the
    others are joined, by the same one step as without keys. Until then all are in their group: a child that dies over them, or
    a worker that does, costs none.

    Args:
        queue: its name.
        rule: what becomes of its groups.
        broker: where they are.
        ask: has a message built by a child; None: the worker stops.
        clock: the server's time.
        most: bytes that a message may have.
    """

    def __init__(
        self,
        queue: str,
        rule: frames.Aggregation,
        broker: AsyncBroker,
        ask: Ask,
        clock: ServerClock,
        most: int,
    ) -> None:
        super().__init__(queue, rule, broker)
        self._ask = ask
        self._clock = clock
        self._most = most

    async def _join(self, group: str, waiting: Sequence[Waiting]) -> bool:
        large = [one for one in waiting if len(one.message) > self._most]
        if large:
            await self._archive_large(group, large, [len(one.message) for one in large])
        rest = [one for one in waiting if len(one.message) <= self._most]
        for part in frames.batches(rest, [len(one.message) for one in rest], MOST_JOINED):
            if not await self._join_part(group, part):
                return False
        return True

    async def _join_part(self, group: str, part: Sequence[Waiting]) -> bool:
        built, task_id = await self._build(group, part)
        if built is None:
            return False
        refusals = {one.outcome.number: one for one in built.refused if one.outcome.verb in _REFUSALS}
        numbered = list(enumerate(part, 1))
        if refused := [(one, refusals[number]) for number, one in numbered if number in refusals]:
            await self._refuse(group, refused)
        rest = [one for number, one in numbered if number not in refusals]
        if not rest:
            return True
        if not built.size:
            return await self._write(group, self._message(built.message, task_id), rest)
        if len(rest) == 1:
            await self._archive_large(group, rest, [built.size])
            return True
        half = len(rest) // 2
        return await self._join_part(group, rest[:half]) and await self._join_part(group, rest[half:])

    async def _build(self, group: str, part: Sequence[Waiting]) -> tuple[frames.Built | None, str]:
        task_id = new_id()
        members = [
            frames.Job(number, self._queue, one.id.encode("utf-8", "surrogateescape"), one.message)
            for number, one in enumerate(part, 1)
        ]
        name = group.encode("utf-8", "surrogateescape")
        self.lives()
        built = await self._ask(frames.Build(0, self._rule.template, self._queue, task_id, name, members))
        self.lives()
        return built, task_id

    def _message(self, data: bytes, task_id: str) -> TaskMessage:
        """What a child has built. The user's code runs there too, and may have written into the socket."""
        try:
            message = TaskMessage.decode(data)
        except DecodeError as error:
            raise BuildFailed(
                f"what a child has built for queue {self._queue} is no message: {error}"
            ) from None
        if (message.id, message.queue) != (task_id, self._queue):
            raise BuildFailed(f"what a child has built for queue {self._queue} names another id or queue")
        return message

    async def _archive_large(self, group: str, large: Sequence[Waiting], sizes: Sequence[int]) -> None:
        limits = [over_limit(size, self._most, self._clock.now()) for size in sizes]
        await self._refuse(group, list(zip(large, limits, strict=True)))

    async def _refuse(self, group: str, items: Sequence[tuple[Waiting, frames.Refusal]]) -> None:
        """Take these out of the group, and tell of those that were: of the others tells whoever was quicker."""
        outcomes = [(one, refusal.outcome) for one, refusal in items]
        replies = await self._broker.run(refuse(self._queue, group, outcomes, self._clock.now()), TIMEOUT)
        for (one, refusal), reply in zip(items, replies, strict=True):
            if reply is not Refused.CHANGED:
                self._tell(one, refusal)

    def _tell(self, member: Waiting, refusal: frames.Refusal) -> None:
        who = refusal.task, printable(member.id), self._queue, refusal.retried
        if refusal.outcome.verb == Verb.PUT_BACK:
            if PutBack.heard:
                emit(PutBack(*who, refusal.reason, refusal.outcome.delay))
        elif Unread.heard:
            emit(Unread(*who, kind=refusal.kind, reason=refusal.reason))
