"""What the servers say of themselves, for `stats`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..broker.command import Plain
from ..broker.keys import ALL_QUEUES
from ..broker.server_checks import parse_info
from ..connection.topology import Address, key_slot
from ..errors import BrokerError
from .both import AnyBroker
from .queues import all_queues
from .values import ClusterFacts, NodeFacts, Stats

_ONE_LOOK = 2.0
"""Seconds for what the servers say of themselves: one that is dead must not hold up the rest."""


async def read_stats(broker: AnyBroker) -> Stats:
    """Everything at a glance; what cannot be read says why."""
    queues = await all_queues(broker)
    masters = await broker.masters()
    replies = await broker.run_many([Plain(("INFO",), parse_info, node=one) for one in masters], _ONE_LOOK)
    nodes = [_node(broker, address, reply) for address, reply in zip(masters, replies, strict=True)]
    return Stats(datetime.now(UTC), tuple(queues), tuple(nodes), await _cluster(broker))


def _node(broker: AnyBroker, address: Address, info: Any) -> NodeFacts:
    shown = address[0] if broker.url.kind == "unix" else f"{address[0]}:{address[1]}"
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


async def _cluster(broker: AnyBroker) -> ClusterFacts | None:
    if not broker.topology.cluster:
        return None
    info = await broker.run(Plain(("CLUSTER", "INFO"), parse_info, slot=key_slot(ALL_QUEUES)))
    return ClusterFacts(
        state=info.get("cluster_state", ""),
        known_nodes=int(info.get("cluster_known_nodes", 0)),
        size=int(info.get("cluster_size", 0)),
        slots_ok=int(info.get("cluster_slots_ok", 0)),
    )
