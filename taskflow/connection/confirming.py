"""Whether a durable write is on a replica: what is asked for that, down the same connection, and what the answers mean (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .steps import Wire

FIRST_WAIT = 0.3
"""Seconds that a durable write waits for a replica before it asks whether there is one, and again with the question ..."""

LATER_WAIT = 1.0
"""... and at each further try. Well under a socket's timeout."""


def confirmation(alone: bool, hasty: bool, calm: bool, left: float) -> list[Wire]:
    """Ask how many replicas have what this connection wrote. It must go down the same connection: on any other, WAIT has
    nothing to wait for and says yes.

    Args:
        alone: the node had no replica the last time. There WAIT would only pass its time, for each call anew, so the question
            is asked alone. (It is never the first one on a node: a master that was stopped, replaced, and goes on has no
            replica either, for the moment until it hears of it.)
        hasty: whether it should rather be tried again than waited for.
        calm: nothing went wrong yet. Else it is asked too whether there is a replica at all.
        left: seconds until the deadline. The answer has to come before it, or nobody would know what was missing.
    """
    ask: Wire = ("INFO", "replication")
    if alone:
        return [ask]
    patience = min(FIRST_WAIT if hasty else LATER_WAIT, max(left, 0.0) / 2)
    wait: Wire = ("WAIT", 1, max(int(patience * 1000), 1))
    return [wait] if calm else [wait, ask]


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
