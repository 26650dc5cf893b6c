"""Free ports, and who is told when one is not."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Iterable, Iterator

from taskflow.embedded.config import BUS_OFFSET
from taskflow.errors import EmbeddedServerError, PortInUse

HOST = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up), also with the bus: while a cluster is stopped, no outgoing
# connection of another program takes its ports away.
_FIRST, _LAST = 11_000, 22_500
_TRIES = 200
# A server that was just killed keeps its ports for as long as the kernel needs to bury it.
_PATIENCE = 0.5
_POLL = 0.02


def choose(count: int) -> tuple[int, ...]:
    """Return consecutive free ports for a cluster of `count` nodes, whose bus ports are free too.

    Raises:
        EmbeddedServerError: none were found.
    """
    for _ in range(_TRIES):
        # At random, so that two clusters that are created at once hardly meet.
        first = random.randrange(_FIRST, _LAST - count)
        ports = tuple(range(first, first + count))
        if all(is_free(port) for port, _ in _with_bus(ports, cluster=True)):
            return ports
    raise EmbeddedServerError(
        f"found no {count} free ports in a row from {_FIRST} to {_LAST}; name the first with --port"
    )


def require_free(ports: Iterable[int], *, cluster: bool) -> None:
    """Raise PortInUse when one of the ports, or its bus port in a cluster, belongs to somebody."""
    deadline = time.monotonic() + _PATIENCE
    for port, owner in _with_bus(ports, cluster=cluster):
        while not is_free(port):
            if time.monotonic() < deadline:
                time.sleep(_POLL)
                continue
            raise PortInUse(port, "" if port == owner else f" (the cluster bus of port {owner})")


def is_free(port: int) -> bool:
    """Say whether a server could listen on a loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does: TIME_WAIT is no owner
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _with_bus(ports: Iterable[int], *, cluster: bool) -> Iterator[tuple[int, int]]:
    for port in ports:
        yield port, port
        if cluster:
            yield port + BUS_OFFSET, port
