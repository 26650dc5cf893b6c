"""A nemesis: strikes again and again in a thread of its own, and mends what it broke before it strikes again."""

from __future__ import annotations

import contextlib
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..fleet import Fleet
from ..ledger import Ledger
from ..policy import Policy
from ..target import ClusterTarget, SingleTarget, Target


@dataclass
class World:
    """What a nemesis may hurt.

    Attributes:
        directory: of the run's ledgers.
        turn: held by a nemesis while it hurts servers: two at once could take a master and its only copy.
        faults: the policy that drops replies, where there is a proxy.
    """

    target: Target
    fleet: Fleet
    queues: tuple[str, ...]
    directory: Path
    events: Ledger
    lease: int
    stuck: float
    faults: Policy | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cluster(self) -> ClusterTarget:
        """The target, where it is a cluster."""
        assert isinstance(self.target, ClusterTarget), "this nemesis needs a cluster"
        return self.target

    @property
    def single(self) -> SingleTarget:
        """The target, where it is one server."""
        assert isinstance(self.target, SingleTarget), "this nemesis needs one server"
        return self.target


class Nemesis(ABC):
    """One kind of fault.

    A subclass gives `strike`, and `mend` where something stays broken after it.

    Args:
        world: what it may hurt.
        rng: seeded: whom it hurts, when, and for how long.
        pause: seconds between two blows, from and to; None: as it suits the kind.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    pause: ClassVar[tuple[float, float]] = (2.0, 5.0)
    hurts_servers: ClassVar[bool] = False
    kills_attempts: ClassVar[bool] = False
    """Whether a task that is running may be cut off, or its verdict be lost."""
    delays_verdicts: ClassVar[bool] = False
    """Whether a verdict may wait for the server long after its task has ended."""
    ends_leases: ClassVar[bool] = False
    """Whether a task may have to wait for the end of its lease."""

    def __init__(self, world: World, rng: random.Random, pause: tuple[float, float] | None = None) -> None:
        self.world = world
        self.rng = rng
        self.strikes = 0
        self.failures: list[str] = []
        self.whom = "-"
        """Whom the last blow hit, for the ledger."""
        self._lasts = False
        self._pause = pause or self.pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"nemesis-{self.name}", daemon=True)

    def start(self) -> None:
        """Begin to strike."""
        self._thread.start()

    def stop(self) -> None:
        """Strike no more; the last blow is mended on return."""
        self._stop.set()
        if self._thread.ident is None:  # it struck by hand only
            return
        self._thread.join(180)
        assert not self._thread.is_alive(), f"nemesis {self.name} does not come to an end"

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Choose, and wait until it can be hit: before the blow stands in the ledger."""

    @abstractmethod
    def strike(self) -> None:
        """Do it once. What lasts for a while waits by `wait`."""

    def mend(self) -> None:  # noqa: B027 - most blows leave nothing to mend
        """Undo what lasts."""

    def wait(self, seconds: float) -> None:
        """Let it hurt for a while; not longer than the nemesis is wanted."""
        self._stop.wait(seconds)

    def once(self) -> None:
        """One blow, in the ledger from when it fell until it was mended."""
        self.strikes += 1
        self._lasts = True
        who = str(self.strikes)
        try:
            self.prepare()
        except Exception as error:  # noqa: BLE001 - as below
            self._lasts = False
            self._failed(who, error)
            return
        self.world.events.write("strike", self.name, who)
        try:
            self.strike()
        except Exception as error:  # noqa: BLE001 - a blow that fails is noted, and the next one comes
            self._failed(who, error)
        try:
            self.mend()
        except Exception as error:  # noqa: BLE001
            self._failed(who, error)
        self.lasted()

    def lasted(self) -> None:
        """The blow is over, as far as the ledger is concerned."""
        if self._lasts:
            self._lasts = False
            self.world.events.write("healed", self.name, str(self.strikes), self.whom)

    def _failed(self, who: str, error: Exception) -> None:
        self.failures.append(f"{type(error).__name__}: {error}")
        self.world.events.write("failed", self.name, who, type(error).__name__)

    def _run(self) -> None:
        while not self._stop.wait(self.rng.uniform(*self._pause)):
            with self._turn():
                if not self._stop.is_set():
                    self.once()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.hurts_servers:
            yield
            return
        with self.world.turn:
            yield
