"""`taskflow queue`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import Result

from taskflow.states import State
from tests.inspector.stored import Stored

Cli = Callable[..., Result]


def row_of(output: str, name: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.split() and line.split()[0] == name)
    return line.split()


def test_ls_is_one_line_a_queue(cli: Cli, stored: Stored) -> None:
    for state in State:
        stored.put(state, state.value)
    result = cli("queue", "ls")
    header = result.stdout.splitlines()[0].split()
    assert header[:4] == ["Queue", "State", "Size", "Pending"]
    assert row_of(result.stdout, stored.queue)[1:10] == ["running", "7", *["1"] * 7]


def test_ls_without_queues(cli: Cli, raw: redis.Redis) -> None:
    names = raw.smembers("asynq:queues")
    raw.delete("asynq:queues")
    assert cli("queue", "ls").stdout == "No queues.\n"
    assert cli("queue", "ls", "--json").stdout == "[]\n"
    if names:
        raw.sadd("asynq:queues", *names)


def test_ls_shows_a_queue_that_cannot_be_read_and_says_so(cli: Cli, stored: Stored, raw: redis.Redis) -> None:
    raw.sadd("asynq:queues", "wrong-type")
    raw.set("asynq:{wrong-type}:pending", "text")
    try:
        result = cli("queue", "ls")
        assert result.exit_code == 1
        assert row_of(result.stdout, "wrong-type")[1] == "unavailable"
        assert row_of(result.stdout, stored.queue)[1] == "running"
        assert "WRONGTYPE" in result.stderr
        assert cli("stats").exit_code == 1
    finally:
        raw.srem("asynq:queues", "wrong-type")
        raw.delete("asynq:{wrong-type}:pending")


def test_ls_cluster_on_one_server_says_what_to_do(cli: Cli) -> None:
    result = cli("queue", "ls", "--cluster")
    assert result.exit_code == 2
    assert "leave --cluster out" in result.stderr


def test_inspect_has_stable_names(cli_json: Callable[..., Any], stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t1")
    (found,) = cli_json("queue", "inspect", stored.queue)
    assert list(found) == [
        "queue",
        "paused",
        "size",
        "pending",
        "active",
        "scheduled",
        "retry",
        "archived",
        "completed",
        "aggregating",
        "groups",
        "orphans",
        "latency",
        "oldest_pending_since",
        "processed",
        "failed",
        "processed_total",
        "failed_total",
        "problem",
        "partitions",
    ]
    assert (found["queue"], found["archived"], found["failed"]) == (stored.queue, 1, 1)
    assert cli_json("queue", "ls")[0].keys() == found.keys()


def test_inspect_shows_several_queues(cli: Cli, stored: Stored) -> None:
    stored.put(State.PENDING, "t1")
    result = cli("queue", "inspect", stored.queue, stored.queue)
    assert result.stdout.count(f"Name:    {stored.queue}") == 2
    assert "Task Count by State" in result.stdout


def test_history(cli: Cli, cli_json: Callable[..., Any], stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t1")
    result = cli("queue", "history", stored.queue, "-x", "2")
    lines = result.stdout.splitlines()
    assert lines[0] == f"Queue: {stored.queue}"
    assert lines[2].split()[1:] == ["1", "1", "100.00%"]
    assert lines[3].split()[1:] == ["0", "0", "n/a"]
    (found,) = cli_json("queue", "history", stored.queue)
    assert len(found["days"]) == 10
    assert found["days"][0]["failed"] == 1


def test_pause_and_resume(cli: Cli, stored: Stored) -> None:
    name = stored.queue
    assert cli("queue", "pause", name).stdout == f"Queue '{name}' is paused.\n"
    assert cli("queue", "pause", name).stdout == f"Queue '{name}' is paused already.\n"
    assert row_of(cli("queue", "ls").stdout, name)[1] == "paused"
    assert cli("queue", "resume", name).stdout == f"Queue '{name}' is resumed.\n"
    assert cli("queue", "resume", name).stdout == f"Queue '{name}' is not paused.\n"


def test_a_queue_that_nobody_has_used_can_be_paused(cli: Cli, stored: Stored, raw: redis.Redis) -> None:
    """Before a release: the queue is new, and its tasks shall wait. It "did not exist". (Go's tools pause it, too.)"""
    name = f"{stored.queue}-new"
    result = cli("queue", "pause", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Queue '{name}' is paused. Nobody has used it yet: is the name right?\n"
    assert raw.exists(f"asynq:{{{name}}}:paused")
    assert row_of(cli("queue", "ls").stdout, name)[1] == "paused"
    assert cli("queue", "pause", name).stdout == f"Queue '{name}' is paused already.\n"
    assert cli("queue", "resume", name).stdout == f"Queue '{name}' is resumed.\n"
    assert cli("queue", "rm", name).exit_code == 0
    assert "holds a brace" in cli("queue", "pause", "{a}").stderr


def test_one_unknown_queue_does_not_stop_the_others(cli: Cli, stored: Stored) -> None:
    assert cli("queue", "pause", stored.queue).exit_code == 0
    result = cli("queue", "resume", "no-such-queue", stored.queue)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: queue 'no-such-queue' does not exist")
    assert "is resumed" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("queue", "inspect"),
        ("queue", "history"),
        ("queue", "resume"),
        ("queue", "rm"),
        ("queue", "purge", "--yes"),
        ("task", "ls", "-s", "pending", "-q"),
        ("task", "runall", "-s", "retry", "-q"),
        ("task", "inspect", "t1", "-q"),
        ("task", "run", "t1", "-q"),
        ("task", "cancel", "t1", "-q"),
    ],
    ids=" ".join,
)
def test_an_unknown_queue_is_named_with_the_remedy(cli: Cli, words: tuple[str, ...]) -> None:
    result = cli(*words, "no-such-queue")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "Error: queue 'no-such-queue' does not exist; `taskflow queue ls` lists those that do\n"
    )
    assert result.stdout == ""


def test_rm_asks_for_force_where_there_are_tasks(cli: Cli, stored: Stored) -> None:
    stored.put(State.COMPLETED, "t1")
    refused = cli("queue", "rm", stored.queue)
    assert refused.exit_code == 2
    assert "holds tasks; `taskflow queue rm --force`" in refused.stderr
    assert cli("queue", "rm", "--force", stored.queue).stdout == f"Queue '{stored.queue}' is removed.\n"
    assert stored.all_keys() == []
    assert cli("queue", "inspect", stored.queue).exit_code == 2


def test_purge_asks_first(cli: Cli, stored: Stored) -> None:
    for number in range(3):
        stored.put(State.PENDING, f"t{number}")
    refused = cli("queue", "purge", stored.queue, stdin="n\n")
    assert refused.exit_code == 1
    assert "3 tasks are waiting" in refused.stdout
    assert len(stored.ids(State.PENDING)) == 3
    assert cli("queue", "purge", stored.queue, stdin="").exit_code == 1
    assert "3 tasks are deleted." in cli("queue", "purge", stored.queue, "--yes").stdout
    assert stored.ids(State.PENDING) == []
