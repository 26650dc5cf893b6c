"""Whether a durable write is on a replica: what is asked for that, down the same connection, and what the answers mean (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .steps import Wire
from .topology import Address, Topology

FIRST_WAIT = 0.3
"""Seconds that a durable write waits for a replica before it asks whether the node has one at all, and again with that question
...
"""

LATER_WAIT = 1.0
"""... and at each further try. Well under a socket's timeout."""


class Replicas:
    """What one plan asks and learns about the replicas of nodes."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._unconfirmed = 0

    def question(self, address: Address, now: float, deadline: float, *, calm: bool) -> list[Wire]:
        """The commands that ask how many replicas have what this connection wrote. They must go down the same connection: on any
        other, WAIT has nothing to wait for and says yes.

        Once something went wrong (not `calm`), the node is also asked whether it has a replica. If it had none the last time, it
        is asked only that, since each call would spend the whole time of a WAIT in vain. That is never the first question to a
        node: a master that was stopped, was replaced meanwhile and goes on has no replica either, until it hears that it was
        replaced.
        """
        ask: Wire = ("INFO", "replication")
        if address in self._topology.alone:
            return [ask]
        hasty = self._unconfirmed < 2 or self._topology.is_slow(address, now)
        # WAIT has to answer before the deadline: otherwise the error could not say whether a replica was missing or the node.
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
