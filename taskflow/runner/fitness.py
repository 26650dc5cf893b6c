"""Whether this process may be forked: what of it would be broken in the fork, or shared with it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

SHOWN = 5


def unfit(ours: int) -> str:
    """Why not, as the end of the sentence "the import of the app ..."; "" if it may.

    A thread is not there in the fork, and the lock that it held is held for ever. A connection is there in each, and they would
    read each other's answers.

    Args:
        ours: the descriptor of the socket to the worker.
    """
    if threads := _others():
        return f"has started {_counted(threads, 'thread')}"
    if peers := list(_connections(ours)):
        return f"has opened {_counted(peers, 'connection')}"
    return ""


def _counted(names: list[str], what: str) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what}{'s' * (len(names) > 1)} ({', '.join(names[:SHOWN])}{more})"


def _others() -> list[str]:
    """The other threads, those that Python does not know included (a library in C has them)."""
    found = {thread.native_id: thread.name for thread in threading.enumerate()}
    names = [name for number, name in found.items() if number != threading.get_native_id()]
    for number in map(int, os.listdir("/proc/self/task")):
        if number not in found:
            try:
                with open(f"/proc/self/task/{number}/comm") as file:
                    names.append(f"one of a library in C, {file.read().strip()}")
            except OSError:
                continue  # it has ended
    return names


def _connections(ours: int) -> Iterator[str]:
    """The peers of this process, but for the system's log and the like: those are unix sockets."""
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if number == ours or not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(number)) as one:
                if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                    host, port = one.getpeername()[:2]
                    yield f"{host}:{port}"
        except OSError:
            continue  # closed meanwhile, or it has no peer
