"""The records of running workers, which `taskflow server ls` and Go's tools read."""

from __future__ import annotations

from collections.abc import Sequence

from ...connection.topology import key_slot
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import ALL_SERVERS, ALL_WORKERS, RecordKeys

_build_record = builder("record_server", "info ttl", RecordKeys)
_entry = item_of("record_server")


def write_server(
    host: str,
    pid: int,
    server_id: str,
    info: bytes,
    running: Sequence[tuple[str, bytes]],
    now: float,
    ttl: int = 10,
) -> list[Command[int] | Plain[int]]:
    """The record, its tasks, and their entries in the two indexes; `ttl`: how many seconds they are good for.

    Three slots, so three commands, each idempotent.
    """
    keys = RecordKeys(host, pid, server_id)
    expires_at = int(now) + ttl
    entries = [
        word for task_id, worker_info in running for word in _entry(task_id=task_id, worker_info=worker_info)
    ]
    return [
        Plain(("ZADD", ALL_SERVERS, expires_at, keys.server), int, slot=key_slot(ALL_SERVERS)),
        Plain(("ZADD", ALL_WORKERS, expires_at, keys.workers), int, slot=key_slot(ALL_WORKERS)),
        _build_record(keys, int, entries, info=info, ttl=ttl),
    ]


def clear_server(host: str, pid: int, server_id: str) -> list[Plain[int]]:
    """Remove the record at a clean stop."""
    keys = RecordKeys(host, pid, server_id)
    return [
        Plain(("ZREM", ALL_SERVERS, keys.server), int, slot=key_slot(ALL_SERVERS)),
        Plain(("ZREM", ALL_WORKERS, keys.workers), int, slot=key_slot(ALL_WORKERS)),
        Plain(("DEL", keys.server, keys.workers), int, slot=keys.slot),
    ]
