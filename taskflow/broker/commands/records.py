"""The records of running workers, which `taskflow server ls` and Go's tools read."""

from __future__ import annotations

from collections.abc import Sequence

from ...connection.topology import key_slot
from ..command import Command, Plain
from ..keys import ALL_SERVERS, ALL_WORKERS, server_record, workers_record
from ..scripts import load


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
    server, workers = server_record(host, pid, server_id), workers_record(host, pid, server_id)
    expiry = int(now) + ttl
    return [
        Plain(("ZADD", ALL_SERVERS, expiry, server), int, slot=key_slot(ALL_SERVERS)),
        Plain(("ZADD", ALL_WORKERS, expiry, workers), int, slot=key_slot(ALL_WORKERS)),
        Command(
            load("record_server"),
            (server, workers),
            [info, ttl, *(part for entry in running for part in entry)],
            int,
            key_slot(server),
        ),
    ]


def clear_server(host: str, pid: int, server_id: str) -> list[Plain[int]]:
    """Remove the record at a clean stop."""
    server, workers = server_record(host, pid, server_id), workers_record(host, pid, server_id)
    return [
        Plain(("ZREM", ALL_SERVERS, server), int, slot=key_slot(ALL_SERVERS)),
        Plain(("ZREM", ALL_WORKERS, workers), int, slot=key_slot(ALL_WORKERS)),
        Plain(("DEL", server, workers), int, slot=key_slot(server)),
    ]
