"""A queue with partitions is one queue to the inspector and its commands."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from taskflow.errors import IllegalMove, InvalidOption, QueueNotEmpty, QueueNotFound, TaskNotFound
from taskflow.inspector import Inspector
from taskflow.partitions import partition_names
from taskflow.states import State
from tests.inspector.stored import Stored
from tests.servers import Server

Parts = list[Stored]


@pytest.fixture
def parts(broker: Broker, raw: redis.Redis, queue: str) -> Parts:
    """Three partitions of the test's queue: one, two and three pending tasks, and one in every other state in the last."""
    found = [Stored(broker, raw, name) for name in partition_names(queue, 3)]
    for index, part in enumerate(found):
        for n in range(index + 1):
            part.put(State.PENDING, f"{index}-{n}")
    for state in set(State) - {State.PENDING}:
        found[2].put(state, state.value)
    return found


@pytest.fixture
def cli(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url)
    return lambda *words: CliRunner().invoke(main, words)


def rows(text: str, queue: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip().startswith(queue)]


def test_counts_are_sums(inspector: Inspector, parts: Parts, queue: str) -> None:
    found = inspector.queue(queue)
    assert (found.name, found.partitions, found.pending, found.size) == (queue, 3, 6, 12)
    assert all(found.count(state) == 1 for state in set(State) - {State.PENDING})
    assert (found.groups, found.failed, found.processed) == (1, 2, 3)
    assert found.latency == max(part.latency for part in found.parts) > type(found.latency)()
    assert [part.name for part in found.parts] == list(partition_names(queue, 3))
    (listed,) = (one for one in inspector.queues() if one.name == queue)
    assert (listed.size, listed.partitions) == (12, 3)
    assert [name for name in inspector.queue_names() if name.startswith(queue)] == [queue]


def test_a_partition_can_be_named_for_itself(inspector: Inspector, parts: Parts) -> None:
    found = inspector.queue(parts[1].queue)
    assert (found.name, found.pending, found.partitions) == (parts[1].queue, 2, 1)
    assert inspector.purge(parts[1].queue) == 2
    assert inspector.queue(parts[0].queue).pending == 4


def test_one_partition_can_be_listed_also_the_queues_own(
    inspector: Inspector, parts: Parts, queue: str
) -> None:
    """While the node of another one is away the rest can still be looked at."""
    listed = [
        [task.id for task in inspector.tasks(queue, State.PENDING, partition=part.queue).tasks]
        for part in parts
    ]
    assert [sorted(ids) for ids in listed] == [["0-0"], ["1-0", "1-1"], ["2-0", "2-1", "2-2"]]
    with pytest.raises(InvalidOption, match="is no partition of queue"):
        inspector.tasks(queue, State.PENDING, partition="another")


def test_a_queue_of_which_only_a_partition_was_used(broker: Broker, raw: redis.Redis, queue: str) -> None:
    inspector = Inspector(broker)
    with pytest.raises(QueueNotFound):
        inspector.queue(queue)
    Stored(broker, raw, partition_names(queue, 4)[3]).put(State.PENDING, "t")
    assert inspector.queue(queue).pending == 1
    assert inspector.history(queue, 1)[0].processed == 0
    Stored(broker, raw, queue, listed=False).put(State.PENDING, "from-go")
    assert inspector.queue(queue).pending == 2


def test_pause_and_resume_reach_every_partition(
    inspector: Inspector, parts: Parts, queue: str, raw: redis.Redis
) -> None:
    assert inspector.pause(parts[2].queue)
    assert inspector.queue(queue).is_partly_paused
    assert inspector.pause(queue)
    assert inspector.queue(queue).paused
    assert not inspector.pause(queue)
    assert [raw.exists(part.keys.paused) for part in parts] == [1, 1, 1]
    assert inspector.resume(queue)
    assert [raw.exists(part.keys.paused) for part in parts] == [0, 0, 0]
    assert not inspector.resume(queue)


def test_pages_go_through_all_partitions(inspector: Inspector, parts: Parts, queue: str) -> None:
    seen = [
        [task.id for task in inspector.tasks(queue, State.PENDING, page=page, size=4).tasks]
        for page in (1, 2, 3)
    ]
    assert [len(ids) for ids in seen] == [4, 2, 0]
    assert sorted(itertools.chain(*seen)) == ["0-0", "1-0", "1-1", "2-0", "2-1", "2-2"]
    assert inspector.tasks(queue, State.PENDING, page=1, size=4).total == 6
    assert inspector.tasks(queue, State.PENDING, page=2, size=1).tasks[0].queue == parts[1].queue
    assert [task.id for task in inspector.tasks(queue, State.AGGREGATING).tasks] == ["aggregating"]
    assert [(one.name, one.size) for one in inspector.groups(queue)] == [("g1", 1)]


def test_one_task_is_found_and_moved_wherever_it_is(inspector: Inspector, parts: Parts, queue: str) -> None:
    assert inspector.task(queue, "1-1").queue == parts[1].queue
    inspector.archive(queue, "1-1")
    assert parts[1].state("1-1") == State.ARCHIVED
    inspector.run(queue, "1-1")
    assert parts[1].state("1-1") == State.PENDING
    inspector.delete(queue, "1-1")
    for order in (inspector.task, inspector.run, inspector.archive, inspector.delete):
        with pytest.raises(TaskNotFound):
            order(queue, "1-1")
    inspector.require_active(queue, "active")
    with pytest.raises(IllegalMove):
        inspector.require_active(queue, "2-0")


@pytest.mark.broken_keys
def test_an_id_without_a_task_is_deleted_wherever_it_is(
    inspector: Inspector, parts: Parts, queue: str, raw: redis.Redis
) -> None:
    raw.zadd(parts[1].keys.archived, {"dangling": 1})
    inspector.delete(queue, "dangling")
    assert raw.zscore(parts[1].keys.archived, "dangling") is None


def test_all_tasks_of_a_state_are_moved_in_all_partitions(
    inspector: Inspector, parts: Parts, queue: str
) -> None:
    assert inspector.archive_all(queue, State.PENDING) == 6
    assert inspector.run_all(queue, State.ARCHIVED) == 7
    assert inspector.delete_all(queue, State.AGGREGATING) == 1
    assert inspector.purge(queue) == 9
    assert inspector.queue(queue).size == 2


def test_history_is_the_sum_of_the_days(inspector: Inspector, parts: Parts, queue: str) -> None:
    parts[0].put(State.ARCHIVED, "failed-too")
    today, yesterday = inspector.history(queue, 2)
    assert (today.processed, today.failed) == (4, 3)
    assert (yesterday.processed, yesterday.failed) == (0, 0)


def test_removal_takes_all_or_refuses_before_it_begins(
    inspector: Inspector, parts: Parts, queue: str, raw: redis.Redis
) -> None:
    inspector.purge(parts[0].queue)
    with pytest.raises(QueueNotEmpty):
        inspector.remove(queue)
    assert inspector.queue(queue).partitions == 3
    raw.lrem(parts[2].keys.active, 0, "active")
    raw.zrem(parts[2].keys.lease, "active")
    raw.delete(parts[2].keys.task("active"))
    inspector.remove(queue, force=True)
    assert not [key for part in parts for key in raw.keys(f"*{{{part.queue}}}*")]
    assert not [name for name in raw.smembers("asynq:queues") if name.decode().startswith(queue)]


@pytest.mark.broken_keys
def test_a_partition_that_cannot_be_read_is_missing_in_the_sums_and_named(
    inspector: Inspector, parts: Parts, queue: str, raw: redis.Redis, cli: Callable[..., Result]
) -> None:
    raw.delete(parts[1].keys.pending)
    raw.set(parts[1].keys.pending, "text")
    found = inspector.queue(queue)
    assert (found.pending, found.is_unknown) == (4, False)
    assert f"partition {parts[1].queue}: " in found.problem
    result = cli("queue", "ls")
    assert result.exit_code == 1
    assert rows(result.stdout, queue)[0][1:5] == ["partly", "unavailable", "3", "10"]
    assert parts[1].queue in result.stderr


def test_ls_shows_one_line_or_the_parts(parts: Parts, queue: str, cli: Callable[..., Result]) -> None:
    (line,) = rows(cli("queue", "ls").stdout, queue)
    assert line[:5] == [queue, "running", "3", "12", "6"]
    whole, *each = rows(cli("queue", "ls", "--partitions").stdout, queue)
    assert whole[:4] == [queue, "running", "3", "12"]
    assert [one[0] for one in each] == list(partition_names(queue, 3))
    assert [one[4] for one in each] == ["1", "2", "3"]
    (found,) = (
        one
        for one in json.loads(cli("queue", "ls", "--partitions", "--json").stdout)
        if one["queue"] == queue
    )
    assert (found["partitions"], found["pending"]) == (3, 6)
    assert [(part["queue"], part["pending"]) for part in found["parts"]] == [
        (name, n + 1) for n, name in enumerate(partition_names(queue, 3))
    ]


def test_inspect_shows_where_the_parts_are(parts: Parts, queue: str, cli: Callable[..., Result]) -> None:
    text = cli("queue", "inspect", queue).stdout
    for part in parts:
        assert [part.queue, str(queue_keys(part.queue).slot)] in [
            line.split()[:2] for line in text.splitlines()
        ]
    (found,) = json.loads(cli("queue", "inspect", queue, "--json").stdout)
    assert [part["key_slot"] for part in found["parts"]] == [part.keys.slot for part in parts]


def test_stats_shows_one_queue(parts: Parts, queue: str, cli: Callable[..., Result]) -> None:
    assert [line[:2] for line in rows(cli("stats").stdout, queue)] == [[queue, "12"]]
    found: Any = json.loads(cli("stats", "--json").stdout)
    assert [one["partitions"] for one in found["queues"] if one["queue"] == queue] == [3]


def test_the_doctor_looks_at_every_partition(inspector: Inspector, parts: Parts, queue: str) -> None:
    assert inspector.examine([queue]).queues == tuple(sorted(partition_names(queue, 3)))
