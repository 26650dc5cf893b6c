"""A driver for tests that need a certain reply to get lost, whatever the dice of a run under faults say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors

from taskflow.connection.steps import Broken, Trip, Wire
from taskflow.connection.sync import SyncDriver


class EveryReplyIsLostOnce(SyncDriver):
    """Each script call runs, and its sender hears nothing; only the reply to its repetition arrives.

    A call is known by its script and its keys, so a call without a key of its own loses the first reply of all.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.lost: list[Wire] = []

    def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        answers = super()._travel(trips, deadline, meanwhile)
        return [self._lose(trip, answer) for trip, answer in zip(trips, answers, strict=True)]

    def _ask(self, address: Any, connection: Any, wire: Wire, now: float, deadline: float) -> Any:
        reply = super()._ask(address, connection, wire, now, deadline)
        answer = self._lose(Trip(address, [wire]), reply if isinstance(reply, Broken) else [reply])
        return answer if isinstance(answer, Broken) else answer[0]

    def _lose(self, trip: Trip, answer: Any) -> Any:
        if isinstance(answer, Broken):
            return answer
        for index, (wire, reply) in enumerate(zip(trip.wires, answer, strict=True)):
            # An error says that it has not run: the node has yet to learn the script, for one.
            if wire[0] in ("EVALSHA", "EVAL") and not isinstance(reply, Exception):
                call = wire[2 : 3 + wire[2]]
                if call not in self.lost:
                    self.lost.append(call)
                    error = redis_errors.TimeoutError("the reply is lost")
                    return Broken(error, sent=True, replies=answer[:index])
        return answer
