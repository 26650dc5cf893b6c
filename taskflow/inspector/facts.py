"""What the servers say of themselves, for `stats`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..broker.command import TIMEOUT, Plain
from ..broker.fitness import parse_info
from ..broker.keys import ALL_QUEUES
from ..broker.sync import Broker
from ..connection.topology import Address, key_slot
from ..errors import BrokerError
from .queues import all_queues
from .values import ClusterFacts, NodeFacts, Stats

_ONE_LOOK = 2.0
"""Seconds for what the servers say of themselves: one that is dead must not hold up the rest."""


def read_stats(broker: Broker) -> Stats:
    """Everything at a glance; what cannot be read says why."""
    queues = all_queues(broker)
    masters = broker.driver.masters(TIMEOUT)
    replies = broker.run_many([Plain(("INFO",), parse_info, node=one) for one in masters], _ONE_LOOK)
    nodes = [_node(broker, address, reply) for address, reply in zip(masters, replies, strict=True)]
    return Stats(datetime.now(UTC), tuple(queues), tuple(nodes), _cluster(broker))


def _node(broker: Broker, address: Address, info: Any) -> NodeFacts:
    shown = address[0] if broker.driver.url.kind == "unix" else f"{address[0]}:{address[1]}"
    if isinstance(info, BrokerError):
        return NodeFacts(shown, problem=str(info))
    name = "Valkey" if "valkey_version" in info else "Redis"
    return NodeFacts(
        address=shown,
        version=f"{name} {info.get('valkey_version') or info.get('redis_version', '')}",
        uptime=timedelta(seconds=int(info.get("uptime_in_seconds", 0))),
        connections=int(info.get("connected_clients", 0)),
        memory=int(info.get("used_memory", 0)),
        peak_memory=int(info.get("used_memory_peak", 0)),
    )


def _cluster(broker: Broker) -> ClusterFacts | None:
    if not broker.driver.topology.cluster:
        return None
    info = broker.run(Plain(("CLUSTER", "INFO"), parse_info, slot=key_slot(ALL_QUEUES)))
    return ClusterFacts(
        state=info.get("cluster_state", ""),
        known_nodes=int(info.get("cluster_known_nodes", 0)),
        size=int(info.get("cluster_size", 0)),
        slots_ok=int(info.get("cluster_slots_ok", 0)),
    )
