"""What a process holds: its threads, its open files, the processes it has started, and connections to a server."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import redis

VARIABLE = "TASKFLOW_TEST_PROCESS"
"""Answers what this process has started, also its grandchildren, and what nobody is the parent of any more."""

os.environ[VARIABLE] = MARK = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"

_NOT_OURS = "not ours"


@dataclass
class Resources:
    """A look. Every set holds names that mean the same at the next look."""

    threads: set[threading.Thread] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    processes: set[int] = field(default_factory=set)
    connections: set[int] = field(default_factory=set)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            self.threads - other.threads,
            self.files - other.files,
            self.processes - other.processes,
            self.connections - other.connections,
        )

    def __or__(self, other: Resources) -> Resources:
        return Resources(
            self.threads | other.threads,
            self.files | other.files,
            self.processes | other.processes,
            self.connections | other.connections,
        )

    def __bool__(self) -> bool:
        return bool(self.threads or self.files or self.processes or self.connections)


class Looker:
    """Looks at this process, and at a server.

    What a server's connections belong to is only asked of those that are new.
    """

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        """Processes of the machine that were looked at: their marks."""
        self.server: redis.Redis | None = None

    def look(self) -> Resources:
        """What there is now."""
        return Resources(
            {thread for thread in threading.enumerate() if thread.is_alive()},
            _open_files(),
            self._started(),
            self._connected(),
        )

    def _started(self) -> set[int]:
        """Every living process that carries our mark, and our children that nobody has waited for."""
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        for pid in self._known.keys() - pids:
            del self._known[pid]
        for pid in pids - self._known.keys():
            self._known[pid] = _mark_of(pid)
        found = {pid for pid, mark in self._known.items() if mark == MARK}
        found.discard(os.getpid())
        return {pid for pid in found if _is_ours(pid)}

    def _connected(self) -> set[int]:
        if self.server is None:
            return set()
        try:
            own = self.server.client_id()
            return {int(one["id"]) for one in self.server.client_list()} - {own}
        except redis.RedisError:
            return set()  # a test may have stopped it

    def describe(self, left: Resources) -> list[str]:
        """The resources in words."""
        lines = [f"thread {thread.name} ({_function_of(thread)})" for thread in left.threads]
        lines += [f"open file {name}" for name in sorted(left.files)]
        lines += [f"process {pid}: {_command_of(pid)}" for pid in sorted(left.processes)]
        if left.connections and self.server is not None:
            with contextlib.suppress(redis.RedisError):
                lines += [
                    f"connection {one['id']} from {one['addr']}, last command {one['cmd']}"
                    for one in self.server.client_list()
                    if int(one["id"]) in left.connections
                ]
        return lines


def _open_files() -> set[str]:
    """Descriptors and what they are. What Python opens once for itself is left out."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target != "/dev/urandom" and not target.startswith("/proc/"):
                found.add(f"{name} -> {target}")
    return found


def _mark_of(pid: int) -> str:
    if _parent_of(pid) == os.getpid():
        return MARK  # a fork of ours shows our own old environment
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            for entry in environ.read().split(b"\0"):
                if entry.startswith(VARIABLE.encode() + b"="):
                    return entry.partition(b"=")[2].decode()
    except OSError:
        pass
    return _NOT_OURS


def _stat(pid: int) -> tuple[str, int]:
    """A process's state and its parent."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return "gone", 0
    return fields[0], int(fields[1])


def _parent_of(pid: int) -> int:
    return _stat(pid)[1]


def _is_ours(pid: int) -> bool:
    """Whether it still lives; a dead one counts while we are its parent and have not waited for it."""
    state, parent = _stat(pid)
    return state != "gone" and (state != "Z" or parent == os.getpid())


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            return (
                command.read().replace(b"\0", b" ").decode(errors="replace")[:200] or "ended, not waited for"
            )
    except OSError:
        return "gone"


def _function_of(thread: threading.Thread) -> str:
    target: Any = getattr(thread, "_target", None)
    return getattr(target, "__qualname__", type(thread).__name__)


def owners_of(connections: Iterable[dict[str, Any]]) -> dict[int, int]:
    """The process at the other end of each connection to a server of this host, by the connection's id. Slow."""
    ends = {int(one["id"]): (_port(one["addr"]), _port(one["laddr"])) for one in connections}
    inodes = _sockets_by_ends(set(ends.values()))
    owners = _owners_of_sockets(set(inodes.values()))
    return {one: owners[inodes[end]] for one, end in ends.items() if inodes.get(end) in owners}


def _port(address: object) -> int:
    return int(str(address).rpartition(":")[2])


def _sockets_by_ends(ends: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """By both ports: one of a client's may be in use towards several servers."""
    found = {}
    with open("/proc/net/tcp") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            end = (int(fields[1].rpartition(":")[2], 16), int(fields[2].rpartition(":")[2], 16))
            if end in ends:
                found[end] = fields[9]
    return found


def idle_sockets(drivers: Iterable[Any]) -> set[str]:
    """The open files that are idle connections of these drivers."""
    found = set()
    for driver in drivers:
        for pool in list(driver._pools.values()):
            for connection in list(pool):
                with contextlib.suppress(OSError, AttributeError):
                    number = connection._sock.fileno()
                    found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def _owners_of_sockets(inodes: set[str]) -> dict[str, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found = {}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if inode := wanted.get(os.readlink(f"/proc/{pid}/fd/{name}")):
                        found[inode] = pid
    return found
