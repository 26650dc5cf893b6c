"""A driver for tests that need a certain reply to get lost, whatever the dice of a run under faults say."""

from __future__ import annotations

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

    async def _trip(self, trip: Trip, *rest: Any, **how: Any) -> Any:
        return self._lose(trip, await super()._trip(trip, *rest, **how))

    def _ask(self, address: Any, wire: Wire, *rest: Any) -> Any:
        reply = super()._ask(address, wire, *rest)
        trip = Trip(address, [wire])
        answer = self._lose(trip, reply if isinstance(reply, Broken) else [reply])
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
