"""Which node owns which key slot (pure).

Here and in the modules that an app needs before it enqueues anything, redis-py and asyncio are imported where they are used: they
take 18 MB, and a tenth of a second, which a child whose tasks enqueue nothing does not have to spend.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from ..errors import BrokerRefused
from .url import BrokerURL

Address = tuple[str, int]
"""Host and port; a unix socket is its path and port 0."""

Range = tuple[int, int, Address, str]
"""First slot, last slot, and their master's address and name."""

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


SLOW_SECONDS = 10.0
"""Seconds for which a node of a cluster that did not answer may have been replaced at any moment."""

SLOW_PATIENCE = 0.5
"""Seconds that such a node gets for a whole trip: a replica that took over should not be found late."""

LAST_TRY = 1.5
"""When fewer seconds than these are left before a deadline, such a node gets all of them: it may only be far away."""

REMEMBERED = 60.0
"""Seconds for which a node that did not answer, or knew nothing, is asked last."""

FRESH = 0.1
"""At least so many seconds lie between two looks whether the owner of a slot has been replaced."""


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
        self.replaceable = cluster
        """Whether another node takes over when an owner is gone."""
        self.epoch = 0
        """The epoch of the view that is believed; a newer view has a higher one."""
        self.ids: dict[Address, str] = {}
        """The names that the nodes of a cluster have among themselves. They stay when an address gets another node."""
        self.looked_at = float("-inf")
        """When somebody was last asked about the topology and answered, in monotonic seconds."""
        self.problem = ""
        """Why the last node that was asked about the topology did not answer."""
        self.refusal: BrokerRefused | None = None
        """What the nodes said that could be reached, if all of them refused to answer and others could not be reached."""
        self.alone: set[Address] = set()
        """Nodes that had no replica online when they were last asked."""
        self.silent: dict[Address, float] = {}
        """The nodes that could not be reached, or did not answer, the last time: since when, in monotonic seconds."""
        self._slow: dict[Address, float] = {}
        self._doubted: dict[Address, float] = {}
        """Since when, for both, as in `silent`."""
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
            # Any of them in turn; one that is known to be gone only if there is no other.
            here = [one for one in masters if one not in self.silent] if self.silent else masters
            return random.choice(here or masters) if masters else None
        return self._owners[slot]

    def ready(self, node: Address | None, slot: int | None) -> Address | None:
        """Who is to be asked, if nothing is amiss there: a node that was chosen by hand, or the owner of `slot`. None: nobody is
        known, or who is did not answer the last time, or is no authority.
        """
        address = node or self.owner(slot)
        if (self.silent or self._doubted or self._slow) and (
            address in self.silent or address in self._doubted or address in self._slow
        ):
            return None
        return address

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
        if self._slow:
            self._slow.pop(address, None)
        if self._doubted:
            self._doubted.pop(address, None)

    def missed(self, address: Address, now: float) -> None:
        """A node could not be reached, or did not answer."""
        self.silent[address] = now
        self.doubt(address, now)

    def doubt(self, address: Address, now: float) -> None:
        """A node did not answer, or is no authority on who owns what: it is asked last for a while."""
        for known in (self.silent, self._doubted):
            if len(known) > 100:  # addresses that came and went
                for old in [one for one, since in known.items() if now - since > REMEMBERED]:
                    del known[old]
        self._doubted[address] = now

    def trust(self, address: Address) -> None:
        """A node knew who owns what: it is asked as early as the others again."""
        self._doubted.pop(address, None)

    def may_have_changed(self, slots: Iterable[int | None], now: float) -> bool:
        """Whether an owner of these slots did not answer the last time: others are asked who it is before it is tried again."""
        if not self.silent or not self.replaceable or now - self.looked_at <= FRESH:
            return False
        return any(self.owner(slot) in self.silent for slot in slots)

    def mark_slow(self, address: Address, now: float) -> None:
        """A node let the time for its reply pass, on a connection that did not break."""
        if self.replaceable and now - self._slow.get(address, float("-inf")) > 2 * SLOW_SECONDS:
            self._slow[address] = now

    def is_slow(self, address: Address, now: float) -> bool:
        """Whether a node may have been replaced while it kept its connections, and took new ones, as a stopped one does.

        Whoever waits his usual time for it, again and again, learns late that a replica has taken over. After `SLOW_SECONDS`
        seconds it has its usual time again: it may be slow and nothing else.
        """
        since = self._slow.get(address) if self._slow else None
        return since is not None and now - since < SLOW_SECONDS

    def trip_deadline(self, address: Address, deadline: float, now: float) -> float:
        """Until when the replies of one trip to a node are waited for, of what has to be done by `deadline`."""
        return min(deadline, now + SLOW_PATIENCE) if self.is_slow(address, now) else deadline

    def open_deadline(self, address: Address, deadline: float, now: float) -> float:
        """Until when a connection to a node is waited for, of what has to be done by `deadline`.

        Where another node may have taken over, somebody else has to be asked before all the time is gone.
        """
        left = deadline - now
        if not self.replaceable:
            return deadline
        if address in self.silent:
            return deadline if left <= LAST_TRY else now + SLOW_PATIENCE
        return now + left / 2

    def masters(self) -> list[Address]:
        """The masters that own slots."""
        return list(self._masters)

    def candidates(self, now: float) -> list[Address]:
        """Whom to ask about the topology: known masters and addresses of the URL in turn, since all of either may be gone.

        Last come those that did not answer or knew nothing, the one that has had the longest time to come back first.
        """
        masters = self._masters if self.cluster else ()
        known = dict.fromkeys(
            one for pair in zip_longest(masters, self.seeds) for one in pair if one is not None
        )
        doubted = {one: since for one, since in self._doubted.items() if now - since < REMEMBERED}
        return sorted(known, key=lambda address: doubted.get(address, float("-inf")))

    def set_single(self, address: Address) -> None:
        """One server owns everything."""
        self._masters = [address]
        self.generation += 1

    def set_slots(self, ranges: Sequence[Range]) -> None:
        """Take over what `CLUSTER SLOTS` said."""
        owners: list[Address | None] = [None] * SLOTS
        for start, end, address, _ in ranges:
            owners[start : end + 1] = [address] * (end + 1 - start)
        self._owners = owners
        self._masters = list(dict.fromkeys(one[2] for one in ranges))
        self.ids = {address: name for _, _, address, name in ranges}
        self.generation += 1

    def moved(self, slot: int, address: Address) -> None:
        """One slot has another owner (a MOVED redirection)."""
        self._owners[slot] = address
        if address not in self._masters:
            self._masters = [*self._masters, address]


def parse_slots(reply: Any, asked: Address) -> list[Range]:
    """Read the reply of `CLUSTER SLOTS`.

    A node that does not know its own address answers an empty host: it is the one that was asked.
    """
    ranges = []
    for entry in reply or ():
        start, end, master = int(entry[0]), int(entry[1]), entry[2]
        host = master[0].decode() if master[0] else asked[0]
        name = bytes(master[2]).decode() if len(master) > 2 else ""
        ranges.append((start, end, (host or asked[0], int(master[1])), name))
    return ranges
