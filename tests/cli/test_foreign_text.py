"""Whoever may write to the server has no say on the terminal of whoever looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import redis
from click.testing import CliRunner, Result

from taskflow.broker.keys import ALL_QUEUES, ALL_SERVERS
from taskflow.cli.main import main
from taskflow.message.records import ServerInfo
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from tests.inspector.stored import Stored
from tests.servers import Server

Cli = Callable[..., Result]

EVIL = "x\x1b[2J\x7f\x9b31m\u202e\u2028\u200b\nError: all is lost"
"""Clears the screen, recolours, turns around, begins a line."""


def harmless(result: Result) -> bool:
    """Whether only the line breaks are no printable characters, and no line is the planted one."""
    text = result.output
    return text.replace("\n", "").isprintable() and not any(
        line.startswith("Error: all is lost") for line in text.splitlines()
    )


@pytest.mark.broken_keys
@pytest.mark.parametrize("shape", [(), ("--json",)], ids=["text", "json"])
def test_no_command_shows_foreign_text_raw(
    cli: Cli, stored: Stored, raw: redis.Redis, shape: tuple[str, ...]
) -> None:
    """`task inspect --payload` printed the names of headers as they came. Every place where a task, a queue, a group, a worker
    or an error has a name is planted here."""
    planted = {"type": EVIL, "headers": {EVIL: EVIL}, "error_msg": EVIL, "payload": EVIL.encode()}
    for state in (State.PENDING, State.ACTIVE, State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED):
        stored.put(state, f"{state.value}")
        key = stored.keys.task(state.value)
        message = TaskMessage(**{"id": EVIL, "queue": EVIL, "group_key": EVIL, "unique_key": EVIL, **planted})
        raw.hset(
            key,
            mapping=dict.fromkeys(("owner", "result", "error", "group", "unique_key", "pending_since"), EVIL)
            | {"msg": message.encode()},
        )
    stored.put(State.AGGREGATING, "aggregating")
    raw.sadd(stored.keys.groups, EVIL)
    raw.zadd(stored.keys.group(EVIL), {EVIL: 1})
    raw.lpush(stored.keys.pending, EVIL)
    raw.sadd(ALL_QUEUES, EVIL, b"\xff\x1b[2J")
    server = ServerInfo(EVIL, 1, EVIL, 1, {EVIL: 1}, status=EVIL)
    raw.set(f"{ALL_SERVERS}:{EVIL}", server.encode(), ex=60)
    raw.zadd(ALL_SERVERS, {f"{ALL_SERVERS}:{EVIL}": 1})
    raw.hset("asynq:workers:" + EVIL, "x", EVIL)
    try:
        for words in [
            ("queue", "ls"),
            ("queue", "ls", "--partitions"),
            ("queue", "inspect", stored.queue),
            ("queue", "history", stored.queue),
            ("server", "ls"),
            ("stats",),
            ("doctor",),
            *(("task", "ls", "-q", stored.queue, "-s", state.value, "--payload") for state in State),
            *(("task", "inspect", "-q", stored.queue, state.value, "--payload") for state in State),
        ]:
            result = cli(*words, *shape)
            assert harmless(result), (words, result.output)
            assert result.exit_code in (0, 1), (words, result.output)
            if shape:
                json.loads(result.stdout)
        if not shape:
            for words in [
                ("task", "run", "-q", stored.queue, EVIL),
                ("task", "cancel", EVIL),
                ("task", "inspect", "-q", stored.queue, EVIL),
                ("task", "inspect", "-q", EVIL, "x"),
                ("task", "ls", "-q", EVIL, "-s", "aggregating", "-g", EVIL),
                ("queue", "pause", EVIL),
                ("queue", "inspect", EVIL),
                ("queue", "rm", EVIL),
            ]:
                result = cli(*words)
                assert harmless(result), (words, result.output)
    finally:
        raw.srem(ALL_QUEUES, EVIL, b"\xff\x1b[2J")
        raw.delete(f"{ALL_SERVERS}:{EVIL}", ALL_SERVERS, "asynq:workers:" + EVIL)


def test_the_name_of_a_directory_is_foreign_text_too(valkey: Server) -> None:
    result = CliRunner().invoke(main, ["server", "status", "--dir", f"/nowhere/{EVIL}"])
    assert harmless(result), result.output
