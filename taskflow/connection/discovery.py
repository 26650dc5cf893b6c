"""Asking who owns the slots: the question, and what the answers mean (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BrokerAuthError, BrokerMismatch, BrokerRefused
from .faults import Remedy, understand
from .refusals import refusal, unknown_service
from .steps import Wire
from .topology import Address, Range, Topology, parse_slots
from .url import BrokerURL


@dataclass(frozen=True, slots=True)
class Said:
    """How one node sees who owns what.

    Attributes:
        by: who says it.
        view: the owners of all ranges of slots; of a Sentinel, the master as the owner of them all; empty: it knows of none.
        sound: whether it is together with the most of its cluster, as far as it can tell.
        epoch: grows with every fail-over.
        known: the services that a Sentinel knows, where it says that.
    """

    by: Address
    view: tuple[Range, ...]
    sound: bool = True
    epoch: int = 0
    known: list[str] | None = None


def questions(url: BrokerURL) -> list[Wire]:
    """The commands that ask a Sentinel for the master, or a node for the owners of the slots; and how much its word counts.

    Only the first has to be answered: the user may have no right to ask the second.
    """
    if url.kind == "sentinel":
        return [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.service), ("SENTINEL", "MASTERS")]
    return [("CLUSTER", "SLOTS"), ("CLUSTER", "INFO")]


def understood(url: BrokerURL, replies: Sequence[Any], asked: Address) -> Said:
    """What the answers to the `questions` mean.

    Raises:
        redis.exceptions.ResponseError: the node does not answer the first.
    """
    first, second = replies
    if isinstance(first, Exception):
        raise first
    if url.kind == "sentinel":
        services = {} if isinstance(second, Exception) else {one.get(b"name"): one for one in _facts(second)}
        if not first:
            names = (
                None if isinstance(second, Exception) else sorted(_text(name) for name in services if name)
            )
            return Said(asked, (), known=names)
        epoch = int(services.get(url.service.encode(), {}).get(b"config-epoch", 0))
        return Said(asked, ((0, 0, (_text(first[0]), int(first[1])), ""),), epoch=epoch)
    info = {} if isinstance(second, Exception) else _lines(second)
    epoch = int(info.get("cluster_current_epoch", 0))
    return Said(asked, tuple(parse_slots(first, asked)), info.get("cluster_state", "ok") == "ok", epoch)


def learn(topology: Topology, said: Said) -> None:
    """Take an answer over into the topology."""
    topology.epoch = said.epoch
    if topology.cluster:
        topology.set_slots(said.view)
    else:
        topology.set_single(said.view[0][2])


def refused(url: BrokerURL, address: Address, error: Exception) -> BrokerRefused | None:
    """The error where a node will not say who owns the slots, whatever we try; None where it may yet."""
    sentinel = url.kind == "sentinel"
    if (known := refusal(url, address, error, sentinel=sentinel)) is not None:
        return known
    if understand(error).remedy is not Remedy.AUTH:
        return None
    who = "Sentinel" if sentinel else "server"
    right = " ".join(str(word) for word in questions(url)[0][:2]).lower().replace(" ", "|")
    return BrokerAuthError(
        f"{url}: the {who} at {address[0]}:{address[1]} does not say who the master is: {understand(error).text}; "
        f"give the user +{right}"
    )


def no_such_service(url: BrokerURL, known: Sequence[list[str] | None]) -> BrokerMismatch:
    """The error for a service of which no Sentinel has heard; `known`: what each says that it knows."""
    names = [one for one in known if one is not None]
    return unknown_service(url, sorted({name for some in names for name in some}) if names else None)


def _facts(reply: Any) -> list[dict[bytes, bytes]]:
    return [dict(zip(one[::2], one[1::2], strict=False)) for one in reply]


def _lines(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
