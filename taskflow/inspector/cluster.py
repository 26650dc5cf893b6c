"""Which nodes of the cluster hold which queue."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..broker.command import TIMEOUT, Plain
from ..broker.keys import queue_keys
from ..connection.topology import Address
from ..errors import BrokerError, BrokerUnavailable, ConfigurationError
from .both import AnyBroker
from .queues import all_names, is_placed
from .values import ClusterQueue, Node

_ONE_NODE = 1.0
"""Seconds that one node may take, before the next one is asked."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A master with its replicas, and the key slots that it holds."""

    slots: tuple[tuple[int, int], ...]
    nodes: tuple[Node, ...]

    def holds(self, slot: int) -> bool:
        """Whether the slot is one of its own."""
        return any(first <= slot <= last for first, last in self.slots)


async def cluster_queues(broker: AnyBroker, names: Iterable[str] | None = None) -> list[ClusterQueue]:
    """The queues of the index (or those named), sorted, with the nodes that hold them."""
    queues = sorted(names) if names is not None else await all_names(broker)
    shards = await read_shards(broker)
    return [_place(name, shards) for name in queues if is_placed(broker, name)]


async def read_shards(broker: AnyBroker) -> list[Shard]:
    """Ask the nodes, one after the other, until one says how it sees the cluster.

    While a master is dead and not yet replaced, the others know: nobody waits for the dead one.
    """
    topology = broker.topology
    if not topology.cluster:
        raise ConfigurationError(
            f"{broker.url} is not a cluster: every queue is on the one server; leave --cluster out, "
            "or name the cluster as redis+cluster://host:port"
        )
    trouble: BrokerError | None = None
    deadline = time.monotonic() + TIMEOUT
    for address in topology.candidates(time.monotonic()):
        question = Plain(("CLUSTER", "SHARDS"), partial(parse_shards, asked=address), node=address)
        try:
            return await broker.run(question, min(_ONE_NODE, deadline - time.monotonic()))
        except BrokerUnavailable as error:
            trouble = error
        if time.monotonic() > deadline:
            break
    raise trouble or BrokerUnavailable(f"no node of {broker.url} is known")


def parse_shards(reply: Sequence[Any], asked: Address) -> list[Shard]:
    """Read the reply of `CLUSTER SHARDS` (pure). A node without an address is the one that was asked."""
    shards = []
    for entry in reply:
        fields = _fields(entry)
        bounds = [int(bound) for bound in fields["slots"]]
        nodes = [_node(_fields(item), asked) for item in fields["nodes"]]
        nodes.sort(key=lambda node: (node.failed, node.role != "master", node.host, node.port))
        shards.append(Shard(tuple(zip(bounds[::2], bounds[1::2], strict=True)), tuple(nodes)))
    return shards


def _place(name: str, shards: Sequence[Shard]) -> ClusterQueue:
    slot = queue_keys(name).slot
    nodes = next((shard.nodes for shard in shards if shard.holds(slot)), ())
    return ClusterQueue(name, slot, nodes)


def _node(fields: dict[str, Any], asked: Address) -> Node:
    host = next(_hosts(fields), "") or asked[0]
    return Node(
        id=fields["id"].decode(),
        host=host,
        port=int(fields.get("port") or fields["tls-port"]),
        role="master" if fields["role"] == b"master" else "replica",
        failed=fields["health"] == b"fail",
    )


def _hosts(fields: dict[str, Any]) -> Iterator[str]:
    for name in ("endpoint", "hostname", "ip"):
        value = (fields.get(name) or b"").decode()
        if value not in ("", "?"):
            yield value


def _fields(flat: Sequence[Any]) -> dict[str, Any]:
    return {flat[at].decode(): flat[at + 1] for at in range(0, len(flat), 2)}
