"""Which command meets which fate on its way through the proxy (no I/O)."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Collection
from enum import Enum


class Fate(Enum):
    """What happens to a command."""

    PASS = "passed"
    BEFORE = "cut before it ran"
    CLOSE = "ran, reply dropped, connection closed"
    SILENT = "ran, reply dropped, connection silent from then on"


FAULTS = (Fate.CLOSE, Fate.BEFORE, Fate.SILENT)


class Policy:
    """Decides for each command, and counts.

    With `every`, each script meets a fault at its second and at every so-manieth of its own calls, whatever others
    do: so no script is spared because it is rare. With `probability`, each call may.

    Args:
        rng: seeded.
        every: calls of one script per fault; 0: none.
        probability: of a fault at any call.
        kinds: the faults, in turn (`every`) or by chance.
        only: names of commands that may meet one; None: every script.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        every: int = 0,
        probability: float = 0.0,
        kinds: Collection[Fate] = FAULTS,
        only: Collection[str] | None = None,
    ) -> None:
        self._rng = rng
        self._every = every
        self._probability = probability
        self._kinds = tuple(kinds)
        self._only = only
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self.counts: Counter[tuple[str, Fate]] = Counter()

    def decide(self, name: str) -> Fate:
        """The fate of this call."""
        with self._lock:
            fate = self._fate(name)
            self.counts[name, fate] += 1
            return fate

    def quiet(self) -> Policy:
        """A policy that lets everything pass and goes on with these counts."""
        policy = Policy(self._rng, kinds=())
        policy.counts, policy._lock = self.counts, self._lock
        return policy

    def faults(self, name: str) -> int:
        """How many calls of this name have met a fault."""
        return sum(count for (which, fate), count in self.counts.items() if which == name and fate in FAULTS)

    def _fate(self, name: str) -> Fate:
        eligible = name in self._only if self._only is not None else name.islower()
        if not eligible or not self._kinds:
            return Fate.PASS
        self._calls[name] += 1
        if self._every and (self._calls[name] == 2 or self._calls[name] % self._every == 0):
            self._faults[name] += 1
            return self._kinds[(self._faults[name] - 1) % len(self._kinds)]
        if self._probability and self._rng.random() < self._probability:
            return self._rng.choice(self._kinds)
        return Fate.PASS
