"""Queues: pause and resume, and removal in bounded steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...connection.topology import key_slot
from ..builder import builder
from ..command import Command, Plain
from ..keys import ALL_QUEUES, queue_keys
from ..words import Emptied
from .maintenance import FOREIGN_GRACE
from .once import once

BATCH = 200
"""Tasks, or keys, of one script call at most."""

GLOB = re.compile(r"([\\*?\[\]^-])")
"""The characters of a name that need a backslash before them in a pattern for keys."""

_build_pause = builder("pause", "answer whole")
_build_resume = builder("resume", "answer")
_build_remove_queue = builder("remove_queue", "answer force", limit=BATCH, foreign_grace=FOREIGN_GRACE)
_build_remove_keys = builder("remove_keys")


@dataclass(frozen=True, slots=True)
class Removal:
    """A step of a removal: what it says, how much is left, and whether it has paused the queue."""

    outcome: Emptied
    left: int
    paused_now: bool


@dataclass(frozen=True, slots=True)
class Scanned:
    """Some keys, and the cursor to go on with; "0" at the end."""

    cursor: str
    keys: list[bytes]


def pause(queue: str, *, whole: bool = False) -> Command[bool]:
    """Let no worker take from the queue; False: it was paused already. `whole`: as one of all its partitions."""
    return once(_build_pause, queue_keys(queue), bool, whole=int(whole))


def resume(queue: str) -> Command[bool]:
    """Let workers take from the queue again; False: it was not paused."""
    return once(_build_resume, queue_keys(queue), bool)


def remove_step(queue: str, *, force: bool) -> Command[Removal]:
    """One step of emptying a queue that is to be removed; repeat until nothing is left."""
    return once(_build_remove_queue, queue_keys(queue), _removal, force=int(force))


def scan_keys(queue: str, prefix: str, cursor: str) -> Plain[Scanned]:
    """Look for keys of a queue by `prefix`, which is one of its two, on the node that holds it."""
    words = ("SCAN", cursor, "MATCH", GLOB.sub(r"\\\1", prefix) + "*", "COUNT", 1000)
    return Plain(words, _scanned, queue_keys(queue).slot)


def remove_keys(queue: str, names: Sequence[bytes]) -> Command[int]:
    """Delete keys that an empty queue has left: how many were; `Emptied.HOLDS_TASKS`: it is not empty any more, and none was."""
    return _build_remove_keys(queue_keys(queue), int, names)


def unlist(queue: str) -> Plain[int]:
    """Take the queue out of the index of all queues."""
    return Plain(("SREM", ALL_QUEUES, queue), int, slot=key_slot(ALL_QUEUES))


def _removal(reply: list[int]) -> Removal:
    return Removal(Emptied(reply[0]), reply[1], bool(reply[2]))


def _scanned(reply: list[Any]) -> Scanned:
    return Scanned(reply[0].decode(), reply[1])
