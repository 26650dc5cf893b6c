"""`taskflow task ls` and `inspect` of a task that runs: since when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from click.testing import Result

from taskflow.broker.commands.records import write_server
from taskflow.message.records import ServerInfo, Timestamp, WorkerInfo
from taskflow.states import State
from tests.inspector.stored import Stored

Cli = Callable[..., Result]


def worker_says(stored: Stored, server: str, started: int) -> None:
    """What a worker `h:7:server` says: that it runs "t1"."""
    task = WorkerInfo(
        "h", 7, server, "t1", "shop:pay", None, stored.queue, Timestamp(started), Timestamp.NEVER
    )
    info = ServerInfo(
        host="h",
        pid=7,
        server_id=server,
        concurrency=4,
        queues={stored.queue: 1},
        start_time=Timestamp(started),
        active_worker_count=1,
    )
    commands = write_server("h", 7, server, info.encode(), [("t1", task.encode())], time.time())
    for reply in stored.broker.run_many(commands):
        assert not isinstance(reply, Exception)


def test_a_task_that_runs_says_since_when(cli: Cli, cli_json: Callable[..., Any], stored: Stored) -> None:
    """The first thing that one wants to know of a task that does not end."""
    stored.put(State.ACTIVE, "t1")
    stored.raw.hset(stored.keys.task("t1"), "owner", "h:7:s1")
    inspect = ("task", "inspect", "-q", stored.queue, "t1")
    assert "Started at" not in cli(*inspect).stdout
    assert cli_json(*inspect)["started_at"] is None

    worker_says(stored, "s1", int(time.time()) - 3600)

    assert ", 1h" in next(line for line in cli(*inspect).stdout.splitlines() if line.startswith("Started at"))
    assert cli_json(*inspect)["started_at"] is not None
    header, row = cli("task", "ls", "-q", stored.queue, "-s", "active").stdout.splitlines()
    assert header.split()[-1] == "Started"
    assert row.endswith(" ago")


def test_a_worker_that_has_lost_a_task_is_not_believed(cli: Cli, stored: Stored) -> None:
    """Its record outlives its lease for some seconds, and another worker has the task by then."""
    stored.put(State.ACTIVE, "t1")
    stored.raw.hset(stored.keys.task("t1"), "owner", "h:8:s2")
    worker_says(stored, "s1", int(time.time()) - 3600)
    assert "Started at" not in cli("task", "inspect", "-q", stored.queue, "t1").stdout
