"""What happens to the hosts. Each blow is struck, and mended when all have been seen to go on."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from typing import ClassVar

from tests.sentinels import SERVICE

from .deployments import PORT, SENTINEL_PORT, Deployment, SixNodes, Watched
from .run import ENQUEUE_WITHIN, Seen

_USER, _PASSWORD = "shop", "of-the-shop"


class Blow(ABC):
    """One kind of fault. `await_promotion` returns when somebody else serves the queue."""

    description: ClassVar[str]

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    @property
    def url(self) -> str:
        """The URL of those who live through it."""
        return self.deployment.url

    @abstractmethod
    def strike(self) -> None:
        """Do it."""

    def await_promotion(self) -> None:
        """Until a replica serves the queue."""
        self.deployment.await_promotion()

    @abstractmethod
    def mend(self) -> None:
        """Undo it."""

    def wrong(self, seen: Seen, slack: float) -> list[str]:
        """What else is not as it must be, in words."""
        del seen, slack
        return []


class Silent(Blow):
    """The host of the master (and of the first Sentinel) is gone: no reset, no "unreachable", nothing."""

    description = "the master's host drops everything"

    def strike(self) -> None:
        self.deployment.first.silence()

    def mend(self) -> None:
        self.deployment.first.speak()


class Stopped(Blow):
    """The programs of that host stand still: the kernel takes connections, and nobody answers."""

    description = "the master (and its Sentinel) gets SIGSTOP"

    def strike(self) -> None:
        self._signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for name, process in self.deployment.processes.items():
            if name in ("server1", "sentinel1"):
                os.kill(process.pid, number)


class CutOff(Blow):
    """The master's host is cut off from the other servers, but not from us. It believes in itself, and says so."""

    description = "the master's host and the others do not hear each other; the clients reach all"

    def strike(self) -> None:
        self.deployment.first.cut_off(self.deployment.hosts[1:])

    def mend(self) -> None:
        self.deployment.first.rejoin(self.deployment.hosts[1:])


class StuckSentinel(Blow):
    """The first Sentinel of the URL has lost the others before the master stops: it names the old one for ever."""

    description = "a Sentinel that is cut off goes on naming a master that is stopped"

    @property
    def url(self) -> str:
        watched = self.deployment
        assert isinstance(watched, Watched)
        return watched.url_of([watched.hosts[2], *watched.hosts[:2]])

    def strike(self) -> None:
        hosts = self.deployment.hosts
        # The only replica that is left has no other beside it.
        self.deployment.ask(hosts[1], "CONFIG", "SET", "min-replicas-to-write", "0")
        hosts[2].cut_off(hosts[:2])
        os.kill(self.deployment.processes["server1"].pid, signal.SIGSTOP)

    def mend(self) -> None:
        hosts = self.deployment.hosts
        os.kill(self.deployment.processes["server1"].pid, signal.SIGCONT)
        hosts[2].rejoin(hosts[:2])


class Moved(Blow):
    """Everything behind the name of the URL goes elsewhere, as pods do: each address that it had is silent."""

    description = "all addresses of the name that the URL has change; the old ones drop everything"

    @property
    def url(self) -> str:
        self._name(0)
        if isinstance(self.deployment, Watched):
            return f"redis+sentinel://seed.test:{SENTINEL_PORT}/{SERVICE}"
        return f"redis+cluster://seed.test:{PORT}"

    def strike(self) -> None:
        old, new = self.deployment.network.hosts[:3], self.deployment.network.hosts[3:6]
        if isinstance(self.deployment, Watched):
            self.deployment.spread(new)
        for host in old:
            host.silence()
        self._name(3)
        self.deployment.witness = new[0]
        if isinstance(self.deployment, Watched):
            self.deployment.settle(new)
        else:
            for host in new:
                self.deployment.ask(host, "CLUSTER", "FAILOVER", "TAKEOVER")

    def mend(self) -> None:
        """They have gone for good."""
        for number in (1, 2, 3):
            for name in (f"server{number}", f"sentinel{number}"):
                if name in self.deployment.processes:
                    self.deployment.processes[name].kill()

    def _name(self, first: int) -> None:
        hosts = self.deployment.network.hosts[first : first + 3]
        self.deployment.network.name(seed=[host.address for host in hosts])


class Rotated(Blow):
    """The password of producers and workers is changed, and their connections are closed; later it is theirs again.

    Meanwhile each call ends at once with what is wrong: nothing that could pass is waited for.
    """

    description = "the user's password is changed on every server for some seconds"
    seconds = 4.0

    @property
    def url(self) -> str:
        self._password(_PASSWORD)
        scheme, _, rest = self.deployment.url.partition("://")
        return f"{scheme}://{_USER}:{_PASSWORD}@{rest}"

    def strike(self) -> None:
        self._password("another")
        for host in self.deployment.hosts:
            self.deployment.ask(host, "CLIENT", "KILL", "USER", _USER)

    def await_promotion(self) -> None:
        """Until the password is what it was."""
        time.sleep(self.seconds)
        self._password(_PASSWORD)

    def mend(self) -> None:
        self._password(_PASSWORD)

    def _password(self, text: str) -> None:
        for host in self.deployment.hosts:
            self.deployment.ask(
                host, "ACL", "SETUSER", _USER, "on", "resetpass", f">{text}", "~*", "&*", "+@all"
            )

    def wrong(self, seen: Seen, slack: float) -> list[str]:
        wrong = []
        for name, calls in seen.calls.items():
            # Not those of the moment in which one server after the other is told.
            during = [
                call for call in calls if seen.struck + 1 < call.began and call.ended < seen.promoted - 1
            ]
            if len(during) < 3:
                wrong.append(f"{name}: only {len(during)} calls ended while the password was another")
            wrong += [
                f"{name}: {call.ended - call.began:.1f} s, {call.error or 'no error'}"
                for call in during
                if not call.error.startswith("BrokerAuthError")
                or call.ended - call.began > ENQUEUE_WITHIN + slack
            ]
        if not any("refused the login" in line for line in seen.log):
            wrong.append("the worker does not say that its login is refused")
        return wrong


BLOWS: dict[str, tuple[type[Blow], tuple[type[Deployment], ...]]] = {
    "silent": (Silent, (SixNodes, Watched)),
    "stopped": (Stopped, (SixNodes, Watched)),
    "cut-off": (CutOff, (SixNodes, Watched)),
    "stuck-sentinel": (StuckSentinel, (Watched,)),
    "moved": (Moved, (SixNodes, Watched)),
    "rotated": (Rotated, (SixNodes, Watched)),
}
"""The blows, and on what they can fall."""
