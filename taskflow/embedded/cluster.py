"""A cluster is formed of empty nodes, and keeps its shape when its ports change."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis

from taskflow.embedded.config import BUS_OFFSET
from taskflow.embedded.instance import Instance, command, remembered_view
from taskflow.embedded.layout import NodeFiles, write_private
from taskflow.embedded.ports import HOST
from taskflow.embedded.serverconf import NODE_TIMEOUT
from taskflow.embedded.topology import slot_ranges
from taskflow.errors import EmbeddedServerError

_POLL = 0.05
_MEET_TIMEOUT = 20.0
# A node hears of another's slots by a ping, and pings each at least every half of this: with the timeout that
# they keep, that can take seconds.
_FORMING_TIMEOUT = 2_000


def form(instance: Instance) -> None:
    """Make a cluster of empty nodes: the first half are masters, node `i + half` is the replica of node `i`.

    It is not ready on return: the caller waits for contacts, first copies and the servers' own two seconds of
    caution.

    Raises:
        EmbeddedServerError: a node refused.
    """
    with _clients(instance) as clients:
        _set_node_timeout(clients, _FORMING_TIMEOUT)
        _deal_slots(clients)
        _introduce(clients, instance.manifest.ports)
        _attach_replicas(clients)


def calm_down(instance: Instance) -> None:
    """Give the nodes of a cluster that has just become ready the node timeout that they keep."""
    with _clients(instance) as clients:
        _set_node_timeout(clients, NODE_TIMEOUT)


@contextmanager
def _clients(instance: Instance) -> Iterator[list[redis.Redis]]:
    try:
        with instance.clients() as clients:
            yield clients
    except redis.RedisError as error:
        raise EmbeddedServerError(
            f"the cluster in {instance.layout.root} could not be formed: {error}"
        ) from error


def _set_node_timeout(clients: Sequence[redis.Redis], milliseconds: int) -> None:
    for client in clients:
        command(client, "CONFIG", "SET", "cluster-node-timeout", milliseconds)


def _deal_slots(clients: Sequence[redis.Redis]) -> None:
    for epoch, client in enumerate(clients, start=1):
        # Different from the start: nodes that find equal epochs settle them one collision at a time.
        command(client, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
    masters = clients[: len(clients) // 2]
    for client, (first, last) in zip(masters, slot_ranges(len(masters)), strict=True):
        command(client, "CLUSTER", "ADDSLOTSRANGE", first, last)


def _introduce(clients: Sequence[redis.Redis], ports: Sequence[int]) -> None:
    # Every pair, once: hearsay would take seconds to reach all of them.
    for (client, _), (_, port) in itertools.combinations(zip(clients, ports, strict=True), 2):
        command(client, "CLUSTER", "MEET", HOST, port, port + BUS_OFFSET)


def _attach_replicas(clients: Sequence[redis.Redis]) -> None:
    half = len(clients) // 2
    master_ids = [command(client, "CLUSTER", "MYID") for client in clients[:half]]
    deadline = time.monotonic() + _MEET_TIMEOUT
    for client, master_id in zip(clients[half:], master_ids, strict=True):
        # Refused until the handshake with the master is over.
        while not _try_replicate(client, master_id, final=time.monotonic() > deadline):
            time.sleep(_POLL)


def _try_replicate(client: redis.Redis, master_id: str, *, final: bool) -> bool:
    try:
        command(client, "CLUSTER", "REPLICATE", master_id)
    except redis.ResponseError:
        if final:
            raise
        return False
    return True


def readdress(nodes: Sequence[NodeFiles], ports: Sequence[int]) -> None:
    """Tell the stopped nodes of a cluster each other's ports, in their `nodes.conf`.

    A node that starts corrects its own address only, and would look for the others at their old ones.
    To repeat it changes nothing, so it may be interrupted.
    """
    port_of: dict[str, int] = {}
    for node, port in zip(nodes, ports, strict=True):
        for line in remembered_view(node):
            if "myself" in line.flags:
                port_of[line.node_id] = port
    for node in nodes:
        if node.nodes_conf.exists():
            _readdress_one(node, port_of)


def _readdress_one(node: NodeFiles, port_of: dict[str, int]) -> None:
    def new_address(match: re.Match[str]) -> str:
        port = port_of.get(match["id"])
        if port is None:
            return match[0]
        return f"{match['id']} {HOST}:{port}@{port + BUS_OFFSET}"

    before = node.nodes_conf.read_text(encoding="utf-8")
    after = re.sub(r"^(?P<id>[0-9a-f]{40}) [^\s,@]*@\d+", new_address, before, flags=re.MULTILINE)
    if after != before:
        write_private(node.nodes_conf, after)


def discard(node: NodeFiles) -> None:
    """Remove the files of a node whose cluster or server was never ready.

    The lock file stays: removed and made again it would be another lock.
    """
    for folder, folders, names in os.walk(node.folder, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            if path != str(node.alive):
                os.unlink(path)
        for name in folders:
            os.rmdir(os.path.join(folder, name))
