"""Whether a durable write is on a replica: what is asked for that, down the same connection, and what the answers mean (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .steps import Wire
from .topology import Address, Topology

FIRST_WAIT = 0.3
"""Seconds that a durable write waits for a replica before it asks whether there is one, and again with the question ..."""

LATER_WAIT = 1.0
"""... and at each further try. Well under a socket's timeout."""


class Replicas:
    """What one plan asks and learns about the replicas of nodes."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._unconfirmed = 0

    def question(self, address: Address, now: float, deadline: float, *, calm: bool) -> list[Wire]:
        """How many replicas have what this connection wrote. It must go down the same connection: on any other, WAIT has
        nothing to wait for and says yes.

        Once something went wrong (not `calm`), ask too whether there is one. Where there was none the last time, WAIT would
        only pass its time, for each call anew: there the question alone is asked. (It is never the first one on a node: a master
        that was stopped, replaced, and goes on has no replica either, for the moment until it hears of it.)
        """
        ask: Wire = ("INFO", "replication")
        if address in self._topology.alone:
            return [ask]
        hasty = self._unconfirmed < 2 or self._topology.is_slow(address, now)
        # Its answer has to come before the deadline, or nobody would know what was missing.
        patience = min(FIRST_WAIT if hasty else LATER_WAIT, max(deadline - now, 0.0) / 2)
        wait: Wire = ("WAIT", 1, max(int(patience * 1000), 1))
        return [wait] if calm else [wait, ask]

    def heard(self, address: Address, replies: Sequence[Any]) -> int | Exception | None:
        """How many replicas have what was written, as `replicas_said`; what it says of the node is remembered."""
        replicas = replicas_said(replies)
        if replicas is None:
            self._unconfirmed += 1
        if replies and replicas == 0:
            self._topology.alone.add(address)
        elif replies:
            self._topology.alone.discard(address)
        return replicas


def replicas_said(replies: Sequence[Any]) -> int | Exception | None:
    """What WAIT, INFO, or both said: how many replicas have the write; 0: there are none; None: not known yet."""
    if not replies:
        return 0
    first, last = replies[0], replies[-1]
    if isinstance(first, Exception):
        return first
    if isinstance(first, int) and first > 0:
        return first
    if isinstance(last, bytes) and b"state=online" not in last:
        return 0
    return None
