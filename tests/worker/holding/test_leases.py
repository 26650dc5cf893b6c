"""Leases that cannot be extended are a trouble like any other: said, red unless the broker is away, and tried again soon."""

from __future__ import annotations

import asyncio
from typing import Any

from taskflow.broker.commands.dequeue import Extended, Taken
from taskflow.errors import BrokerAuthError, BrokerError
from taskflow.worker.holding.held_tasks import Held, HeldTasks
from taskflow.worker.holding.leases import Leases
from tests.servers import until


class Refusing:
    """A broker that refuses what is for one queue."""

    def __init__(self) -> None:
        self.refuses = True
        self.extended: list[str] = []

    async def run_many(self, commands: Any, timeout: float) -> list[Extended | BrokerError]:
        replies: list[Extended | BrokerError] = []
        for command in commands:
            refused = self.refuses and "{bad}" in command.keys[0]
            replies.append(BrokerAuthError("no permission") if refused else Extended([], {}))
            self.extended += [] if refused else [command.keys[0]]
        return replies


def test_a_refused_extension_is_red_and_the_other_queues_leases_are_extended() -> None:
    """It was a line in the log each five seconds, and health was green while the tasks were given to others."""
    held_tasks = HeldTasks()
    for queue in ("bad", "good"):
        held_tasks.add(queue, [Held(queue, Taken("id", b"", "token"))])

    async def scene() -> None:
        broker = Refusing()
        leases = Leases(broker, held_tasks)  # type: ignore[arg-type]
        leases.start()
        await until(lambda: leases.troubles.complaints())
        assert "no permission" in leases.troubles.complaints()[0]
        assert broker.extended == ["asynq:{good}:lease"]
        broker.refuses = False
        await until(lambda: not leases.troubles.complaints())
        assert "asynq:{bad}:lease" in broker.extended
        await leases.stop()

    asyncio.run(scene())
