"""What is said first on a new connection: who we are, which database, and whether the node is the one it is taken for (pure).

It goes in one pipeline, under the deadline of whoever connects. redis-py's own does each in turn and takes the socket's timeout
for each.

A dead node's address may have been given to another server. Whoever believes the address alone hands it tasks that nobody will
run, or is refused until somebody restarts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .steps import Wire
from .topology import Address, Topology
from .url import BrokerURL

MASTER = "master"


@dataclass(frozen=True, slots=True)
class Greeting:
    """The words, and who has to answer.

    Attributes:
        wires: the commands.
        expects: `MASTER`, the id of a cluster's node, "" for any node of a cluster; None: whoever it is.
    """

    wires: tuple[Wire, ...] = ()
    expects: str | None = None

    def check(self, replies: Sequence[Any], name: str) -> None:
        """Look at what was answered.

        Args:
            replies: as many as `wires`.
            name: the node's, for the error.

        Raises:
            redis.exceptions.RedisError: the login was refused; or it is another server than it was taken for, which
                is an error of the connection.
        """
        from redis import exceptions as redis_errors

        count = len(self.wires) - (self.expects is not None)
        for reply in replies[:count]:
            if isinstance(reply, Exception):
                raise reply
        if self.expects is None:
            return
        said = replies[count]
        if isinstance(said, redis_errors.AuthenticationError):
            raise said
        if isinstance(said, Exception):
            # The user has no right to ask, or the server does not know the question: then its answers to requests must show who
            # it is.
            if "cluster support disabled" in str(said):
                raise redis_errors.ConnectionError(f"{name} is no node of a cluster, another server is there")
        elif self.expects == MASTER:
            if said and said[0] != b"master":
                raise redis_errors.ConnectionError(f"{name} is not the master any more")
        elif self.expects and bytes(said).decode() != self.expects:
            raise redis_errors.ConnectionError(
                f"{name} is another node than it was, its address is in use anew"
            )


def greeting(url: BrokerURL, topology: Topology, address: Address) -> Greeting:
    """How to greet a node that serves requests."""
    wires = _login(url.username, url.password)
    if url.db:
        wires.append(("SELECT", url.db))
    if url.kind == "sentinel":
        return Greeting((*wires, ("ROLE",)), MASTER)
    if url.kind == "cluster":
        return Greeting((*wires, ("CLUSTER", "MYID")), topology.ids.get(address, ""))
    return Greeting(tuple(wires))


def question_greeting(url: BrokerURL) -> Greeting:
    """How to greet a node, or a Sentinel, that is only asked who owns what."""
    if url.kind == "sentinel":
        options = url.options
        return Greeting(tuple(_login(options.get("sentinel_username"), options.get("sentinel_password"))))
    return Greeting(tuple(_login(url.username, url.password)))


def _login(username: str | None, password: str | None) -> list[Wire]:
    if not username and not password:
        return []
    return [("AUTH", username, password or "") if username else ("AUTH", password or "")]
