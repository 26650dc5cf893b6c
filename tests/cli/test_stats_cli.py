"""`taskflow stats`, `taskflow server ls`, and how tables look on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import Result

from taskflow.broker.commands.records import write_server
from taskflow.broker.sync import Broker
from taskflow.cli.output import clean, size, span
from taskflow.message.records import ServerInfo, Timestamp
from taskflow.states import State
from tests.cli.test_main import TASKFLOW
from tests.inspector.stored import Stored
from tests.servers import Server

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_else(raw: redis.Redis) -> None:
    """These commands show every queue of the server, and other tests leave broken ones."""
    raw.flushall()


def test_stats(cli: Cli, stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    result = cli("stats")
    assert result.exit_code == 0
    for title in ("Task Count by State", "Task Count by Queue", "Daily Stats", "Servers"):
        assert title in result.stdout
    assert stored.queue in result.stdout


def test_stats_as_json_has_stable_names(cli_json: Callable[..., Any], stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    found = cli_json("stats")
    assert list(found) == ["measured_at", "total", "queues", "nodes", "cluster"]
    assert found["total"]["retry"] >= 1
    assert found["cluster"] is None
    assert found["nodes"][0].keys() == {
        "address",
        "version",
        "uptime",
        "connections",
        "memory",
        "peak_memory",
        "problem",
    }
    assert stored.queue in [one["queue"] for one in found["queues"]]


def test_server_ls(cli: Cli, cli_json: Callable[..., Any], broker: Broker, raw: redis.Redis) -> None:
    assert cli("server", "ls").stdout == "No running workers.\n"
    info = ServerInfo(
        "vm", 16672, "id-1", 4, {"low": 1, "critical": 6}, start_time=Timestamp(int(time.time()) - 14)
    )
    for reply in broker.run_many(write_server("vm", 16672, "id-1", info.encode(), [], time.time())):
        assert not isinstance(reply, Exception)
    try:
        header, row = cli("server", "ls").stdout.splitlines()
        assert header.split() == ["Host", "PID", "State", "Active", "Workers", "Queues", "Started"]
        assert row.split()[:5] == ["vm", "16672", "active", "0/4", "critical:6"]
        (found,) = cli_json("server", "ls")
        assert (found["state"], found["queues"], found["running"]) == (
            "active",
            {"critical": 6, "low": 1},
            [],
        )
    finally:
        raw.delete("asynq:servers", "asynq:workers", "asynq:servers:{vm:16672:id-1}")


def test_a_terminal_gets_a_table(valkey: Server, stored: Stored) -> None:
    stored.put(State.PENDING, "t1", type="[red]pay[/red]")
    words = [TASKFLOW, "task", "ls", "-q", stored.queue, "-s", "pending", "-b", valkey.url]
    master, slave = pty.openpty()
    process = subprocess.Popen(words, stdout=slave, stderr=slave, env=os.environ | {"COLUMNS": "100"})
    os.close(slave)
    output = b""
    try:
        while chunk := os.read(master, 65536):
            output += chunk
    except OSError:
        pass  # Linux says EIO where the other end of a terminal is closed.
    assert process.wait(30) == 0
    os.close(master)
    text = output.decode()
    assert "[red]pay[/red]" in text
    assert "─" in text


def test_lengths_and_sizes_are_short() -> None:
    from datetime import timedelta

    shown = [span(timedelta(seconds=seconds)) for seconds in (0, 0.25, 1, 61, 3600, 3723, 90_000, 86_400 * 3)]
    assert shown == ["0s", "250ms", "1s", "1m1s", "1h", "1h2m", "1d1h", "3d"]
    assert [size(count) for count in (0, 1023, 1536, 5 * 1024**3)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
    assert clean("é\x00\u202e\udcff") == r"é\x00\u202e\udcff"
