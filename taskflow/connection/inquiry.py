"""Asking several nodes who owns what, and deciding whom to believe (no I/O): the drivers ask, and bring the answers.

While all is well the first node that answers is believed. In doubt, several are asked side by side: a node that was cut off from
the others, a Sentinel that has not heard of a fail-over, a node with another password, another server on a dead node's address
would each send everybody astray for as long as it comes first in the list.
"""

from __future__ import annotations

from collections import Counter

from ..errors import BrokerRefused
from .discovery import Said, learn, no_such_service, refused
from .topology import Address, Topology
from .url import BrokerURL

TIME = 3.0
"""Seconds for all questions together."""

ONE = 2.0
"""Seconds for one node: connecting, logging in, its answer."""

HEAD_START = 0.15
"""Seconds after which the next one is asked, where no answer has come yet."""

GRACE = 0.15
"""In doubt: seconds for which the answers of others are awaited after the first one."""

SEVERAL = 5
"""How many are asked at once, in doubt."""


class Inquiry:
    """One round of questions.

    Args:
        topology: what is known; it learns the outcome.
        url: the broker.
        doubt: whether what was known has just proved wrong.
        now: on the monotonic clock.
        deadline: when whoever waits for the outcome has to have it.
    """

    def __init__(
        self, topology: Topology, url: BrokerURL, *, doubt: bool, now: float, deadline: float
    ) -> None:
        self._topology = topology
        self._url = url
        # Sentinels are few, and one that has missed a fail-over cannot be told from the others by what it says alone.
        self._doubt = doubt or url.kind == "sentinel"
        self._until = min(deadline, now + TIME)
        self._waiting = topology.candidates(now)
        self._asked: set[Address] = set()
        self._open: set[Address] = set()
        self._next_at = now
        self._said: list[Said] = []
        self._strangers: dict[Address, list[str] | None] = {}
        self._refused: dict[Address, BrokerRefused] = {}
        self._sound_at: float | None = None

    def due(self, now: float) -> list[tuple[Address, float]]:
        """Whom to ask now, and until when."""
        count = 0
        if self._waiting and now < self._until and not self._decided(now):
            if not self._asked:
                count = SEVERAL if self._doubt else 1
            elif now >= self._next_at or not self._open:
                count = 1
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        if chosen:
            self._next_at = now + HEAD_START
            self._asked.update(chosen)
            self._open.update(chosen)
        return [(address, min(self._until, now + ONE)) for address in chosen]

    def is_over(self, now: float) -> bool:
        """Whether no answer that is still to come could change the outcome, or the time is over."""
        return now >= self._until or self._decided(now) or not (self._open or self._waiting)

    def patience(self, now: float) -> float:
        """Seconds to wait for the next answer before `due` and `is_over` are to be asked again."""
        until = self._until
        if self._waiting:
            until = min(until, self._next_at)
        if self._sound_at is not None:
            until = min(until, self._sound_at + GRACE)
        return max(until - now, 0.0)

    def take(self, address: Address, answer: Said | Exception, now: float) -> bool:
        """An answer has come, or none will. Whether the node is of use as one to ask."""
        self._open.discard(address)
        if isinstance(answer, Said):
            if not answer.view:
                self._strangers[address] = answer.known
                self._topology.doubt(address, now)
                return False
            self._said.append(answer)
            if answer.sound and self._sound_at is None:
                self._sound_at = now
            return answer.sound
        self._topology.doubt(address, now)
        name = f"{address[0]}:{address[1]}"
        self._topology.problem = f"{name}: {answer}" if name not in str(answer) else str(answer)
        if (refusal := refused(self._url, address, answer)) is not None:
            self._refused[address] = refusal
            self._topology.problem = str(refusal)
        self._next_at = now
        return False

    def conclude(self, now: float) -> None:
        """Take the outcome over into the topology.

        Raises:
            BrokerRefused: every one there is refuses to answer, or has never heard of the service.
        """
        topology = self._topology
        if self._said:
            topology.looked_at = now
            topology.refusal = None
            best = self._best()
            if best.sound or not topology.known or best.epoch >= topology.epoch:
                learn(topology, best)
            else:
                topology.problem = f"{best.by[0]}:{best.by[1]} is cut off from its cluster"
            for one in self._said:
                if not one.sound or (one.view != best.view and one.epoch < best.epoch):
                    topology.doubt(one.by, now)
                else:
                    topology.trust(one.by)
            return
        topology.refusal = next(iter(self._refused.values()), None)
        everybody = not self._waiting and not self._open
        if self._url.kind == "sentinel" and self._strangers.keys() == self._asked:
            topology.refusal = no_such_service(self._url, list(self._strangers.values()))
        elif self._refused.keys() != self._asked:
            everybody = False
        if topology.refusal is not None and everybody and not topology.known:
            raise topology.refusal

    def _decided(self, now: float) -> bool:
        if self._sound_at is None:
            return False
        if not self._doubt or now - self._sound_at >= GRACE:
            return True
        votes = Counter(one.view for one in self._said if one.sound)
        return max(votes.values()) > len(self._asked) / 2

    def _best(self) -> Said:
        """The newest view among those of nodes that are with the most of their cluster; of equally new views, the one that most
        nodes have.
        """
        votes = Counter(one.view for one in self._said)
        return max(self._said, key=lambda one: (one.sound, one.epoch, votes[one.view]))
