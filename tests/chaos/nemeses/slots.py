"""Key slots move to another master, the old way and Valkey 9's."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import redis

from taskflow import embedded
from taskflow.broker.keys import queue_keys
from tests.servers import wait_until

from ..target import ask, patiently
from .base import Nemesis

_KEYS = 50


def insist(port: Any, *words: Any) -> Any:
    """A command that must get through, whoever kills connections meanwhile: a slot that is left half-moved loses keys."""
    return patiently(lambda: ask(port, *words), 30)


class SlotMigration(Nemesis):
    """While it lasts, the keys of a queue are on two nodes."""

    name = "slot-migration"
    description = "a queue's slot moves: SETSLOT MIGRATING and IMPORTING, MIGRATE of its keys, SETSLOT NODE"
    pause = (4.0, 8.0)
    hurts_servers = True

    def strike(self) -> None:
        queue = self.rng.choice(self.world.queues)
        slot = queue_keys(queue).slot
        source, target = self._ends(queue)
        insist(target.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        insist(source.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
        self._move_keys(slot, source.port, target.port)
        # The new owner first: were it the last, the slot would have none for a moment.
        others = [node for node in self.world.cluster.nodes() if node.role == "master" and node.alive]
        for node in sorted(others, key=lambda node: (node.port != target.port, node.port != source.port)):
            insist(node.port, "CLUSTER", "SETSLOT", slot, "NODE", target.node_id)

    def mend(self) -> None:
        self.world.target.heal()

    def _ends(self, queue: str) -> tuple[Any, Any]:
        source = self.world.cluster.owner(queue)
        masters = [n for n in self.world.cluster.nodes() if n.role == "master" and n.alive and n.slots]
        return source, self.rng.choice([node for node in masters if node.port != source.port])

    @staticmethod
    def _move_keys(slot: int, source: Any, target: Any) -> None:
        deadline = time.monotonic() + 60
        while keys := insist(source, "CLUSTER", "GETKEYSINSLOT", slot, _KEYS):
            with contextlib.suppress(redis.RedisError):  # the next look finds what has not moved
                ask(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *keys)
            assert time.monotonic() < deadline, "the keys of the slot do not move"


class AtomicMigration(SlotMigration):
    """The server moves the slot in one piece, like a failover."""

    name = "atomic-migration"
    description = "`CLUSTER MIGRATESLOTS` of a queue's slot (Valkey 9)"

    def strike(self) -> None:
        queue = self.rng.choice(self.world.queues)
        slot = queue_keys(queue).slot
        source, target = self._ends(queue)
        ask(source.port, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.node_id)
        wait_until(lambda: self._owns(target, slot), description="the slot has moved", timeout=60)

    def _owns(self, node: embedded.NodeStatus, slot: int) -> bool:
        for first, last, master, *_ in ask(node.port, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return int(master[1]) == node.port
        return False
