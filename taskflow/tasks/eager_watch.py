"""`watch()` of eager mode: everything has happened already, and is told in the order in which it did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ..broker.commands.read import Snapshot
from ..broker.said import Said
from ..errors import ResultMissing, ResultTimeout
from ..states import State
from .result_info import state_of
from .watch import Watch
from .watching import LogLines, StateChanged, Verdict, WatchEvent


class ToldWatch(Watch):
    """What has happened to a task that has run.

    Args:
        task_id: its id.
        snapshot: what is known of it.
        said: what it has said.
    """

    def __init__(self, task_id: str, snapshot: Snapshot, said: Said) -> None:
        self._id = task_id
        self._snapshot = snapshot
        self._told = said

    def __iter__(self) -> Iterator[WatchEvent]:
        snapshot, said = self._snapshot, self._told
        state, message = state_of(snapshot.state), snapshot.message
        if state is None and said.at is None:
            raise ResultMissing(
                f"nothing is known of task {self._id}: it is done and not kept, or never existed",
                task_id=self._id,
            )
        if said.lines:
            yield LogLines(said.lines)
        if said.progress is not None:
            yield said.progress
        error = (message.error_msg if message else "") or snapshot.error
        if state is not None:
            yield StateChanged(state, message.retried if message else 0, error)
        if state in (State.COMPLETED, State.ARCHIVED, None):
            yield Verdict(state or State.COMPLETED, error if state is State.ARCHIVED else "")
            return
        # Nobody will run it while one waits.
        raise ResultTimeout(
            f"task {self._id} has no verdict: it is in state {state}, and in eager mode nothing takes it from there",
            task_id=self._id,
        )

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        for event in self:
            yield event
