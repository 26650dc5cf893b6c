"""What a retry plan is asked for, what it has carried out, and what comes of that: the values between it and the drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import BrokerError, BrokerUnavailable
from .topology import Address, Topology
from .url import without_tls

Wire = tuple[Any, ...]


class Request(Protocol):
    """What can be sent: a script call or a plain command."""

    @property
    def name(self) -> str:
        """For errors and measurements."""

    @property
    def slot(self) -> int | None:
        """The key slot that decides on the node; None: any master."""

    @property
    def node(self) -> Address | None:
        """A node that was chosen by hand; None: by slot."""

    @property
    def durable(self) -> bool:
        """Whether its writes are to be on a replica before it counts as done; its value is then `Confirmed`."""

    @property
    def movable(self) -> bool:
        """Whether it can go elsewhere while nothing of it has reached a node: `NotSent`, instead of waiting for that node."""

    @property
    def first_wire(self) -> Wire | None:
        """The command as it is sent the first time, if its builder has put it together already; None: `wire` does."""

    def wire(self, *, full: bool, resent: bool) -> Wire:
        """The command's words. `full`: with the script's text; `resent`: an earlier copy may have run."""

    @property
    def parse(self) -> Callable[[Any], Any]:
        """Turns the reply into a value."""


class NotSent(BrokerUnavailable):
    """Nothing of a movable request has reached a node: it has certainly not run."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The value of a durable request, and how many replicas have it; 0: the node has no replica at all."""

    value: Any
    replicas: int


@dataclass(slots=True)  # not frozen, which would take longer to make than to send
class Trip:
    """One pipeline to one node. `movable`: what is in it goes elsewhere if this node has just gone."""

    address: Address
    wires: list[Wire]
    movable: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A trip that did not end: `sent` says whether the node may have got anything; `replies` came before it broke."""

    error: Exception
    sent: bool
    fatal: bool = False
    replies: Sequence[Any] = ()


Answer = list[Any] | Broken
"""What came of a trip: a reply for each of its commands, errors of the server as exceptions, or why it did not end."""


@dataclass(frozen=True, slots=True)
class Trips:
    """Make these trips side by side; the answer is a list with the replies, or a `Broken`, of each."""

    trips: list[Trip]


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look at the topology anew, unless somebody has since `generation`.

    `doubt`: what was known has proved wrong, so no single node is believed.
    """

    generation: int
    doubt: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to this node, by `until`; answer with the connection, which is the asker's own, or with a `Broken`."""

    address: Address
    until: float


Step = Trips | Refresh | Pause | Open


def value_or_raise(result: Any) -> Any:
    """A result of a plan, or the error that stands in its place."""
    if isinstance(result, BrokerError):
        raise result
    return result


def no_answer(topology: Topology, detail: str) -> str:
    """The text of the error where no answer came in time."""
    seeds = ", ".join(f"{host}:{port}" if port else host for host, port in topology.seeds)
    hint = "is the server running, and is the URL right?"
    if topology.url is not None and topology.url.tls:
        # A server without TLS need not refuse a handshake: Valkey waits for the end of a line that never comes.
        hint = f"is the server running, does it speak TLS ({without_tls(topology.url)}:// is without it), and is the URL right?"
    return f"no answer from the broker ({seeds}) in time: {detail}; {hint}"
