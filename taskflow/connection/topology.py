"""Which node owns which key slot (pure).

Here and in the modules that an app needs before it enqueues anything, redis-py and asyncio are imported where they are used: they
take 18 MB, and a tenth of a second, which a child whose tasks enqueue nothing does not have to spend.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from .url import BrokerURL

Address = tuple[str, int]
"""Host and port; a unix socket is its path and port 0."""

SLOTS = 16384

AVOIDED = 1.0
"""Seconds for which a silent node is avoided by what can go elsewhere."""


def key_slot(key: str | bytes) -> int:
    """The cluster's slot of a key: CRC16 of its hash tag, modulo 16384.

    Example:
        >>> key_slot("asynq:{images}:pending")
        9450
    """
    from redis.crc import key_slot as slot_of

    return int(slot_of(key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key))


SUSPECTED = 10.0
"""Seconds for which a node of a cluster that did not answer may have been replaced at any moment."""

SUSPECTS_TIME = 0.5
"""Seconds that such a node gets for a whole trip: a replica that took over should not be found late."""


class Topology:
    """The owners of the slots, as far as known, and the nodes to ask about them.

    One server and a Sentinel service are the case of one owner for all slots. An update is a new list, so
    that a reader in another thread sees the old owners or the new ones, never half of each.
    """

    def __init__(self, seeds: Sequence[Address], *, cluster: bool, url: BrokerURL | None = None) -> None:
        self.cluster = cluster
        self.url = url
        """What the user has written, for errors that say what to change in it."""
        self.seeds = list(seeds)
        self.generation = 0
        self.problem = ""
        """Why the last node that was asked about the topology did not answer."""
        self.strangers: dict[Address, list[str] | None] = {}
        """The Sentinels that knew no such service when they were last asked, and which they know, where they say it."""
        self.alone: set[Address] = set()
        """Nodes that had no replica online when they were last asked."""
        self.silent: dict[Address, float] = {}
        """The nodes that could not be reached, or did not answer, the last time: since when, in monotonic seconds."""
        self._suspected: dict[Address, float] = {}
        self._owners: list[Address | None] = [None] * SLOTS
        self._masters: list[Address] = []

    @property
    def known(self) -> bool:
        """Whether any owner is known yet."""
        return bool(self._masters)

    def owner(self, slot: int | None) -> Address | None:
        """The master that owns `slot` (None: any master), or None while nobody is known to."""
        masters = self._masters
        if not self.cluster:
            return masters[0] if masters else None
        if slot is None:
            # Any: not always the same one, which may be dead.
            return random.choice(masters) if masters else None
        return self._owners[slot]

    def is_avoided(self, slot: int) -> bool:
        """Whether what can go elsewhere had better: nobody is known to own the slot, or its owner was silent just now.

        Once a second the node is tried again: one caller gets False, and finds out for all.
        """
        address = self.owner(slot)
        if address is None:
            return self.known
        since, now = self.silent.get(address), time.monotonic()
        if since is None:
            return False
        if now - since < AVOIDED:
            return True
        self.silent[address] = now
        return False

    def heard(self, address: Address) -> None:
        """A node has answered."""
        if self.silent:
            self.silent.pop(address, None)
        if self._suspected:
            self._suspected.pop(address, None)

    def suspect(self, address: Address, now: float) -> None:
        """A node let the time for its reply pass, on a connection that did not break."""
        if self.cluster and now - self._suspected.get(address, float("-inf")) > 2 * SUSPECTED:
            self._suspected[address] = now

    def is_suspected(self, address: Address, now: float) -> bool:
        """Whether a node may have been replaced while it kept its connections, and took new ones, as a stopped one does.

        Whoever waits his usual time for it, again and again, learns late that a replica has taken over. After `SUSPECTED`
        seconds it has its usual time again: it may be slow and nothing else.
        """
        since = self._suspected.get(address) if self._suspected else None
        return since is not None and now - since < SUSPECTED

    def trip_deadline(self, address: Address, deadline: float, now: float) -> float:
        """Until when the replies of one trip to a node are waited for, of what has to be done by `deadline`."""
        return min(deadline, now + SUSPECTS_TIME) if self.is_suspected(address, now) else deadline

    def masters(self) -> list[Address]:
        """The masters that own slots."""
        return list(self._masters)

    def candidates(self) -> Iterator[Address]:
        """Whom to ask about the topology: the known masters, then the addresses of the URL; suspects last."""
        known = dict.fromkeys([*self._masters, *self.seeds])
        yield from sorted(known, key=lambda address: address in self._suspected)

    def set_single(self, address: Address) -> None:
        """One server owns everything."""
        self._masters = [address]
        self.generation += 1

    def set_slots(self, ranges: Sequence[tuple[int, int, Address]]) -> None:
        """Take over what `CLUSTER SLOTS` said."""
        owners: list[Address | None] = [None] * SLOTS
        for start, end, address in ranges:
            owners[start : end + 1] = [address] * (end + 1 - start)
        self._owners = owners
        self._masters = list(dict.fromkeys(address for _, _, address in ranges))
        self.generation += 1

    def moved(self, slot: int, address: Address) -> None:
        """One slot has another owner (a MOVED redirection)."""
        self._owners[slot] = address
        if address not in self._masters:
            self._masters = [*self._masters, address]


def parse_slots(reply: Any, asked: Address) -> list[tuple[int, int, Address]]:
    """Read the reply of `CLUSTER SLOTS`: (first slot, last slot, master's address).

    A node that does not know its own address answers an empty host: it is the one that was asked.
    """
    ranges = []
    for entry in reply or ():
        start, end, master = int(entry[0]), int(entry[1]), entry[2]
        host = master[0].decode() if master[0] else asked[0]
        ranges.append((start, end, (host or asked[0], int(master[1]))))
    return ranges
