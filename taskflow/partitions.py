"""Partitions: the names of a queue's parts, and which part a key belongs to (pure).

A queue lives on one key slot, so on one node. With partitions it is several queues of Asynq's, each on a slot of its own,
that the client, the worker and the tools treat as one. Partition 0 is the queue itself, so what others enqueue to it is
served, and a queue that gets partitions later loses nothing. The others are called `images~1yo`, `images~2rl`, …: the number,
and two letters that put the name on a slot far from the others', so that few partitions are enough to reach every node.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from collections.abc import Iterable, Mapping
from functools import lru_cache
from string import ascii_lowercase
from typing import Any, TypedDict
from zlib import crc32

from .errors import InvalidOption, InvalidQueueName

DEFAULT_QUEUE = "default"
"""The queue of what names none."""

MOST = 64
"""Partitions that a queue may have. Workers look for so many, whatever they were told (see `partition_names`)."""

SEPARATOR = "~"
"""Between a queue's name and the number: plain in shells, URLs and patterns for keys, and rare in names."""

_SLOTS = 16384
_LETTERS = {
    crc_hqx(f"{one}{other}".encode(), 0) % _SLOTS: f"{one}{other}"
    for one in reversed(ascii_lowercase)
    for other in reversed(ascii_lowercase)
}
"""By what they change in a slot: a CRC is linear, so that is the same whatever stands in front of them."""

_SIXTHS = (0, 2, 4, 1, 3, 5)

_NAME = re.compile(rf"(.+){SEPARATOR}([1-9][0-9]?)[a-z]{{2}}", re.DOTALL)
_BUCKETS = 1 << 14
_MIX = 0x9E3779B1
"""The CRCs of similar texts are similar themselves. Multiplied, they are not."""

_TAILS = [f"{number:02x}".encode() for number in range(256)]


class QueueOptions(TypedDict, total=False):
    """What `TaskFlow(queues={"images": {...}})` takes for a queue.

    `partitions` is over how many key slots its tasks are spread: 1 to 64.
    """

    partitions: int


@lru_cache(maxsize=8192)
def partition_name(queue: str, index: int) -> str:
    """The name of a partition, which is an ordinary queue's.

    Args:
        queue: the queue.
        index: from 0, which is the queue itself, to 63.

    Example:
        >>> partition_name("images", 0), partition_name("images", 1)
        ('images', 'images~1yo')
    """
    if not index:
        return queue
    wanted = _slot(queue) + int(_spread(index) * _SLOTS)
    stem = f"{queue}{SEPARATOR}{index}"
    unlettered = _slot(stem + "\0\0")
    near = (wanted + sign * distance for distance in range(_SLOTS) for sign in (1, -1))
    return stem + next(
        _LETTERS[change] for slot in near if (change := slot % _SLOTS ^ unlettered) in _LETTERS
    )


@lru_cache(maxsize=1024)
def partition_names(queue: str, count: int = MOST) -> tuple[str, ...]:
    """The names of the first partitions; without a count, of all that there can be."""
    return tuple(partition_name(queue, index) for index in range(count))


@lru_cache(maxsize=4096)
def split_queue(name: str) -> tuple[str, int]:
    """The queue that a name means, and which partition of it: 0 for every name that is not a partition's.

    Example:
        >>> split_queue("images~1yo"), split_queue("images"), split_queue("images~1")
        (('images', 1), ('images', 0), ('images~1', 0))
    """
    match = _NAME.fullmatch(name)
    if match is not None:
        queue, index = match[1], int(match[2])
        if index < MOST and name == partition_name(queue, index):
            return queue, index
    return name, 0


def check_own_queue(name: str) -> str:
    """Make sure that a name is not a partition's: tasks are sent to the queue, which chooses the partition.

    Raises:
        InvalidQueueName: it is one's.
    """
    if SEPARATOR in name:
        queue, index = split_queue(name)
        if index:
            raise InvalidQueueName(
                f"{name!r} is the name of partition {index} of queue {queue!r}; name the queue instead"
            )
    return name


def check_queues(queues: Mapping[str, QueueOptions] | None) -> dict[str, int]:
    """Read `queues=` of an app: the number of partitions by queue.

    Raises:
        InvalidQueueName: a queue's name is a partition's.
        InvalidOption: there is no such option, or a number cannot be.
    """
    counts: dict[str, int] = {}
    for name, given in (queues or {}).items():
        options: Any = given
        if not isinstance(options, Mapping):
            raise InvalidOption(f'queues={{{name!r}: …}} takes options, as in {{"partitions": 6}}')
        for unknown in options.keys() - {"partitions"}:
            raise InvalidOption(f"queue {name!r} has no option {unknown!r}; there is `partitions`")
        count = options.get("partitions", 1)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            raise InvalidOption(f"queue {name!r}: partitions is a whole number from 1 to {MOST}")
        counts[check_own_queue(name)] = count
    return counts


def home(key: str, count: int) -> int:
    """Which of `count` partitions a key belongs to.

    Consistent: when `count` grows by one, about one key in `count` moves, and always to the new partition. The same in every
    process and version: stored tasks depend on it.

    Example:
        >>> home("order-1", 6), home("order-1", 7)
        (4, 4)
    """
    return _homes(count)[_bucket(key)]


def other_homes(key: str, count: int, counts: Iterable[int]) -> list[int]:
    """Where a key belongs under other numbers of partitions, if not to where it does now."""
    bucket = _bucket(key)
    now = _homes(count)[bucket]
    return sorted({_homes(other)[bucket] for other in counts} - {now})


def completed(stem: str, index: int, count: int) -> str | None:
    """A text that begins with `stem` and goes on with two hexadecimal digits, and whose home is partition `index`.

    None: there is no such text, which is rare unless there are many partitions.
    """
    homes, begun = _homes(count), crc32(_bytes(stem))
    for tail in _TAILS:
        if homes[(crc32(tail, begun) * _MIX & 0xFFFFFFFF) >> 18] == index:
            return stem + tail.decode()
    return None


def _bucket(key: str) -> int:
    return (crc32(_bytes(key)) * _MIX & 0xFFFFFFFF) >> 18


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=MOST)
def _homes(count: int) -> bytes:
    """The partition of each bucket."""
    return bytes(_jump(bucket, count) for bucket in range(_BUCKETS))


def _jump(key: int, count: int) -> int:
    """Jump consistent hash (Lamping and Veach, https://arxiv.org/abs/1406.2294)."""
    at, following = -1, 0
    while following < count:
        at = following
        key = (key * 2862933555777941757 + 1) & 0xFFFFFFFFFFFFFFFF
        following = int((at + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return at


def _spread(index: int) -> float:
    """Where a partition lies between 0 and 1, so that the first three are a third apart, the first six a sixth, and so on: van
    der Corput's sequence in base 6, its digits in another order. Three or six masters of equal size get the same number of
    partitions each, wherever the queue itself lies.
    """
    place, width = 0.0, 1.0
    while index:
        index, digit = divmod(index, 6)
        width /= 6
        place += _SIXTHS[digit] * width
    return place


def _slot(name: str) -> int:
    """The cluster's key slot of a queue: CRC16 (XMODEM) of its name, which is the hash tag of all its keys."""
    return crc_hqx(_bytes(name), 0) % _SLOTS
