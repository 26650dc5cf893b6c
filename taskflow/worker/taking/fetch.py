"""One dequeue on its way, and what the one before it has brought (no I/O)."""

from __future__ import annotations

from collections.abc import Callable

from ...broker.commands.dequeue import Dequeued, Taken


class Fetch:
    """From the moment in which a dequeue is sent until it is settled.

    Args:
        count: how many tasks it asks for.
        before: what the one before has brought, and what was not given out before this one was sent.
        give: takes that.
        hear: takes the reply, and whether its tasks are to be given out.

    Attributes:
        used: how many tasks it has brought.
        more: whether there may be more of them.
        followed: the next was granted before these tasks are given out, and gives them.
    """

    __slots__ = ("_before", "_count", "_give", "_hear", "followed", "more", "used")

    def __init__(
        self,
        count: int,
        before: list[Taken],
        give: Callable[[list[Taken]], None],
        hear: Callable[[Dequeued, bool], None],
    ) -> None:
        self._count = count
        self._before = before
        self._give = give
        self._hear = hear
        self.used = 0
        self.more = False
        self.followed = False

    def give_before(self) -> None:
        """Give out what the fetch before has brought, if that is not done yet."""
        tasks, self._before = self._before, []
        if tasks:
            self._give(tasks)

    def took(self, reply: Dequeued, *, followed: bool = False) -> None:
        """The reply is here."""
        self.used, self.more, self.followed = len(reply.tasks), len(reply.tasks) >= self._count, followed
        self._hear(reply, not followed)
