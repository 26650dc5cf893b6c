"""Reading everything that is stored of a queue: the names of its keys, its places, what its tasks say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...broker.command import TIMEOUT, Plain, same
from ...broker.commands.inspect import text
from ...broker.commands.queues import GLOB
from ...broker.commands.sweep import BATCH, StoredFacts, read_states, scan
from ...broker.keys import queue_keys
from ...connection.steps import value_or_raise
from ...connection.topology import Address
from ..both import AnyBroker
from .image import GROUP, LEASE, PLACES, SET, TYPES, QueueImage, is_set_of

_PAGE = 1000
"""Ids that one command reads."""

_NAMED = re.compile(r"(?s)(asynq|taskflow):\{(.*)")
_RECORDS = ("asynq:servers:{", "asynq:workers:{", "asynq:schedulers:{")


@dataclass(slots=True)
class Names:
    """The keys of one queue, by kind; of the tasks only their ids."""

    tasks: list[str] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Keyspace:
    """The keys that a scan has found: by queue, and the records of workers and schedulers."""

    queues: dict[str, Names] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)


async def scan_queue(broker: AnyBroker, queue: str) -> Names | None:
    """The keys of one queue, from the node that holds it; None: it has none."""
    escaped = GLOB.sub(r"\\\1", queue)
    pattern = f"*:{{{escaped}}}:*"
    found = Keyspace()
    async for key in _scan(broker, pattern, slot=queue_keys(queue).slot):
        sort_key(found, key, {queue})
    return found.queues.get(queue)


async def scan_node(broker: AnyBroker, node: Address, known: set[str], found: Keyspace) -> None:
    """Add the keys of all queues that one node holds."""
    async for key in _scan(broker, "*:{*}*", node=node):
        sort_key(found, key, known)


def sort_key(found: Keyspace, key: str, known: set[str]) -> None:
    """Enter a key under its queue. A name may hold braces: a name that is known is believed first (pure)."""
    match = _NAMED.match(key)
    if match is None:
        if key.startswith(_RECORDS):
            found.records.append(key)
        return
    product, rest = match.groups()
    ends = [at.start() for at in re.finditer(r"\}:", rest)]
    names = [rest[:end] for end in ends]
    if not names:
        return
    queue = next((name for name in names if name in known), names[0])
    kind = rest[len(queue) + 2 :]
    names_of = found.queues.setdefault(queue, Names())
    if product == "taskflow":
        names_of.own.append(key)
    elif kind.startswith("t:"):
        names_of.tasks.append(kind[2:])
    elif kind.startswith("unique:"):
        names_of.locks.append(key)
    elif kind.startswith("g:"):
        names_of.groups.append(key)


async def read_image(broker: AnyBroker, queue: str, names: Names) -> QueueImage:
    """Read a queue's places, groups, locks and our own keys: one after the other, while others change them."""
    keys, slot = queue_keys(queue), queue_keys(queue).slot
    image = QueueImage(queue)
    order = list(TYPES)
    time, *types = await _all(
        broker,
        [Plain(("TIME",), same, slot), *(Plain(("TYPE", keys.prefix + name), same, slot) for name in order)],
    )
    image.server_time = int(time[0])
    found = {name: kind.decode() for name, kind in zip(order, types, strict=True)}
    for name, kind in found.items():
        if kind not in (TYPES[name], "none"):
            image.wrong_types.append((keys.prefix + name, kind, TYPES[name]))
    sound = [name for name in order if found[name] == TYPES[name]]

    places = [name for name in sound if name in PLACES or name == "lease"]
    pages = await _pages(broker, slot, [(keys.prefix + name, TYPES[name]) for name in places])
    for name in places:
        image.add(pages[keys.prefix + name], PLACES.get(name, LEASE))
    await read_groups(broker, image, names.groups)
    for batch in _batches(names.locks):
        holders = await broker.run_many([Plain(("GET", key), same, slot) for key in batch])
        image.locks |= {
            key: text(holder) for key, holder in zip(batch, holders, strict=True) if isinstance(holder, bytes)
        }
    for batch in _batches(names.own):
        ttls = await _all(broker, [Plain(("TTL", key), int, slot) for key in batch])
        image.own |= {key: ttl for key, ttl in zip(batch, ttls, strict=True) if ttl != -2}
    return image


async def read_facts(
    broker: AnyBroker, queue: str, ids: Iterable[str]
) -> AsyncIterator[tuple[str, StoredFacts]]:
    """What the hashes of tasks say."""
    for batch in _batches(ids):
        found = await broker.run(read_states(queue, batch))
        for pair in zip(batch, found, strict=True):
            yield pair


async def read_lists(broker: AnyBroker, queue: str) -> set[str]:
    """The ids in `pending` and `active` alone, for a second look at them."""
    keys = queue_keys(queue)
    pages = await _pages(broker, keys.slot, [(keys.active, "list"), (keys.pending, "list")])
    return {one for ids in pages.values() for one in ids}


async def read_groups(broker: AnyBroker, image: QueueImage, scanned: Sequence[str]) -> None:
    """Read the members of all groups and sets: the listed, the registered, and those that were found."""
    keys, slot = queue_keys(image.queue), queue_keys(image.queue).slot
    prefix = keys.group("")
    listed, registered = await broker.run_many(
        [
            Plain(("SMEMBERS", keys.groups), same, slot),
            Plain(("ZRANGE", keys.aggregation_sets, 0, -1, "WITHSCORES"), same, slot),
        ]
    )
    # A key of a wrong type gives an error here; it is named elsewhere.
    if isinstance(listed, list):
        image.groups = set(map(text, listed))
    if isinstance(registered, list):
        pairs = zip(registered[::2], registered[1::2], strict=True)
        image.registrations = {text(key): float(until) for key, until in pairs}
    wanted = [keys.group(name) for name in image.groups]
    wanted += [key for key in (*image.registrations, *scanned) if key.startswith(prefix)]
    wanted = list(dict.fromkeys(wanted))
    existing = []
    for batch in _batches(wanted):
        for key, kind in zip(
            batch, await _all(broker, [Plain(("TYPE", one), same, slot) for one in batch]), strict=True
        ):
            if kind == b"zset":
                existing.append(key)
            elif kind != b"none":
                image.wrong_types.append((key, kind.decode(), "zset"))
    members: dict[str, list[str]] = {}
    for batch in _batches(existing):
        members |= await _pages(broker, slot, [(key, "zset") for key in batch])
    firsts = {key: ids[0] for key, ids in members.items() if ids}
    facts = {one: said async for one, said in read_facts(broker, image.queue, firsts.values())}
    image.group_keys = {key: facts[first].group for key, first in firsts.items()}
    for key, ids in members.items():
        name = key.removeprefix(prefix)
        is_set = key in image.registrations or is_set_of(name, image.group_keys.get(key, ""))
        image.add(ids, SET if is_set else GROUP, name)


async def _pages(broker: AnyBroker, slot: int, places: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """All ids of lists and sorted sets; a page of each at a time."""
    found: dict[str, list[str]] = {key: [] for key, _ in places}
    left = dict(places)
    offset = 0
    while left:
        last = offset + _PAGE - 1
        commands = [
            # A list from its tail, where the oldest are: what is pushed meanwhile moves nothing there.
            Plain(("LRANGE", key, -last - 1, -offset - 1), same, slot)
            if kind == "list"
            else Plain(("ZRANGE", key, offset, last), same, slot)
            for key, kind in left.items()
        ]
        for key, page in zip(list(left), await broker.run_many(commands), strict=True):
            # A key of a wrong type gives an error here; it is named elsewhere.
            found[key] += map(text, page if isinstance(page, list) else ())
            if not isinstance(page, list) or len(page) < _PAGE:
                del left[key]
        offset += _PAGE
    return found


async def _scan(
    broker: AnyBroker, pattern: str, *, node: Address | None = None, slot: int | None = None
) -> AsyncIterator[str]:
    cursor = "0"
    while True:
        scanned = await broker.run(scan(pattern, cursor, node=node, slot=slot), TIMEOUT)
        for key in scanned.keys:
            yield text(key)
        cursor = scanned.cursor
        if cursor == "0":
            return


async def _all(broker: AnyBroker, commands: Sequence[Plain[Any]]) -> list[Any]:
    return [value_or_raise(reply) for reply in await broker.run_many(commands)]


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    listed = list(items)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]
