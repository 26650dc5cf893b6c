"""The way to one server, through the proxy: cut, slow, black, refusing, or losing replies."""

from __future__ import annotations

from ..proxy import Proxy
from .base import Nemesis


class _Network(Nemesis):
    delays_verdicts = True

    def below_lease(self, shortest: float, longest: float) -> float:
        """A duration that lets no lease run out: they are extended six times in their length."""
        return self.rng.uniform(min(shortest, self.world.lease / 4), min(longest, self.world.lease / 2))

    @property
    def proxy(self) -> Proxy:
        """The proxy in front of the server."""
        proxy = self.world.single.proxy
        assert proxy is not None, "this nemesis needs the proxy"
        return proxy


class Cut(_Network):
    """As when a firewall forgets its connections."""

    name = "cut"
    description = "every connection is cut at once"
    pause = (1.0, 3.0)

    def strike(self) -> None:
        self.proxy.cut()


class Refuse(_Network):
    """As when the server restarts on another host."""

    name = "refuse"
    description = "every connection is cut, and new ones are, for 1 to 8 s"
    pause = (3.0, 6.0)

    def strike(self) -> None:
        self.proxy.refuse(True)
        self.wait(self.below_lease(1.0, 8.0))

    def mend(self) -> None:
        self.proxy.refuse(False)


class Delay(_Network):
    """A slow network."""

    name = "delay"
    description = "every reply is held back by up to 0.3 s, for 2 to 5 s"
    pause = (3.0, 6.0)

    def strike(self) -> None:
        self.proxy.delay(0.0, 0.3)
        self.wait(self.rng.uniform(2.0, 5.0))

    def mend(self) -> None:
        self.proxy.delay(0.0, 0.0)


class Hole(_Network):
    """No connection breaks, and nothing comes back. What was sent arrives when it is over: copies come late."""

    name = "hole"
    description = "nothing passes in either direction for 3 to 12 s; then what was held back arrives"
    pause = (4.0, 8.0)

    def strike(self) -> None:
        self.proxy.hole(True)
        self.wait(self.below_lease(3.0, 12.0))

    def mend(self) -> None:
        self.proxy.hole(False)


class DropReplies(_Network):
    """The fault that non-idempotent scripts do not survive: the command has run, and nobody knows."""

    name = "drop-replies"
    description = "replies of scripts are dropped after they ran (the connection closed, or silent), and calls cut before"
    pause = (0.1, 0.2)

    def strike(self) -> None:
        assert self.world.faults is not None
        self.proxy.policy = self.world.faults
        while not self._stop.is_set():
            self.wait(1.0)

    def mend(self) -> None:
        self.proxy.policy = self.world.faults.quiet() if self.world.faults else self.proxy.policy
