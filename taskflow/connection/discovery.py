"""Asking who owns the slots: the question, and what the answers mean (pure)."""

from __future__ import annotations

from typing import Any

from ..errors import BrokerAuthError, InvalidBrokerURL
from .topology import Address, Topology, parse_slots
from .url import BrokerURL


def question(url: BrokerURL) -> tuple[str, ...]:
    """The command that asks a Sentinel for the master, or a node for the owners of the slots."""
    if url.kind == "sentinel":
        return ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.service)
    return ("CLUSTER", "SLOTS")


def learn(topology: Topology, reply: Any, asked: Address, *, sentinel: bool) -> bool:
    """Take a Sentinel's or a node's answer over into the topology; False when it says nothing."""
    if sentinel:
        if not reply:
            return False
        topology.set_single((reply[0].decode(), int(reply[1])))
        return True
    ranges = parse_slots(reply, asked)
    if ranges:
        topology.set_slots(ranges)
    return bool(ranges)


def not_a_cluster(error: Exception) -> bool:
    """Whether the error says that a cluster URL points at a server without cluster mode, or that a login
    failed.
    """
    text = str(error)
    return "cluster support disabled" in text or "NOAUTH" in text or "NOPERM" in text


def refused(url: BrokerURL, error: Exception) -> Exception:
    """The error for a broker that will not serve us whatever we try."""
    if "cluster support disabled" in str(error):
        return InvalidBrokerURL(f"{url} is not a cluster; use redis:// for one server")
    return BrokerAuthError(f"{url} refused the login: {error}; set the user and password in the URL")
