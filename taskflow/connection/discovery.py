"""Asking who owns the slots: the question, and what the answers mean (pure)."""

from __future__ import annotations

from typing import Any

from ..errors import BrokerAuthError, BrokerRefused
from .faults import Remedy, understand
from .refusals import refusal, unknown_service
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


def services_question() -> tuple[str, ...]:
    """The command that asks a Sentinel which services it knows."""
    return ("SENTINEL", "MASTERS")


def services_of(reply: Any) -> list[str]:
    """The names in the answer to `services_question`."""
    facts = (dict(zip(one[::2], one[1::2], strict=False)) for one in reply)
    return sorted(one[b"name"].decode("utf-8", "replace") for one in facts if b"name" in one)


def refused(url: BrokerURL, address: Address, error: Exception) -> BrokerRefused | None:
    """The error where a node will not say who owns the slots, whatever we try; None where it may yet."""
    sentinel = url.kind == "sentinel"
    if (known := refusal(url, address, error, sentinel=sentinel)) is not None:
        return known
    if understand(error).remedy is not Remedy.AUTH:
        return None
    who = "Sentinel" if sentinel else "server"
    right = " ".join(question(url)[:2]).lower().replace(" ", "|")
    return BrokerAuthError(
        f"{url}: the {who} at {address[0]}:{address[1]} does not say who the master is: {understand(error).text}; "
        f"give the user +{right}"
    )


def raise_if_unknown(topology: Topology) -> None:
    """Nobody has named the master.

    Raises:
        BrokerMismatch: every Sentinel has answered, and knows no such service. While one is silent, it may know.
    """
    strangers = topology.strangers
    if topology.url is not None and strangers and all(address in strangers for address in topology.seeds):
        known = [names for names in strangers.values() if names is not None]
        raise unknown_service(
            topology.url, sorted({name for names in known for name in names}) if known else None
        )
